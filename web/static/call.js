// All addresses of the server begin with this: "/", or what a proxy has in front of it.
const ROOT = new URL("..", import.meta.url).pathname;

// An address of the server, from its path: "/chat/jobs/7" for "/jobs/7".
export const addressOf = (path) => ROOT + path.slice(1);

// Calls the API with JSON; throws an Error with the server's message.
export async function call(token, path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const content = body && JSON.stringify(body);
  const answer = await fetch(addressOf(path), { method, headers, body: content });
  const result = answer.status === 204 ? null : await answer.json();
  if (answer.ok) return result;
  const problem = new Error(result.error?.message ?? `HTTP ${answer.status}`);
  problem.status = answer.status;
  throw problem;
}

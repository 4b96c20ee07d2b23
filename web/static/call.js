// Calls the API with JSON; throws an Error with the server's message.
export async function call(token, path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const content = body && JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: content });
  const result = answer.status === 204 ? null : await answer.json();
  if (answer.ok) return result;
  const problem = new Error(result.error?.message ?? `HTTP ${answer.status}`);
  problem.status = answer.status;
  throw problem;
}

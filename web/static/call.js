// A request to the API: JSON in and out, and an Error with the server's own words.
export async function call(token, path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const sent = body && JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: sent });
  const told = answer.status === 204 ? null : await answer.json();
  if (answer.ok) return told;
  const problem = new Error(told.error?.message ?? `HTTP ${answer.status}`);
  problem.status = answer.status;
  throw problem;
}

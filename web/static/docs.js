// The API's description: search, links that open what they name, and "Try it out".
const root = new URL("..", import.meta.url);
const find = (selector) => document.querySelector(selector);
const operations = [...document.querySelectorAll(".operation")];
const chapters = [...document.querySelectorAll(".chapter")];
const words = new Map(operations.map((one) => [one, one.textContent.toLowerCase()]));
const [tools, search, token, found] = [".tools", "#search", "#token", "#found"].map(find);
// Longer responses would make the page slow.
const MOST_SHOWN = 100_000;

function filter() {
  const wanted = search.value.trim().toLowerCase().split(/\s+/);
  const isWanted = (one) => wanted.every((word) => words.get(one).includes(word));
  for (const one of operations) one.hidden = !isWanted(one);
  for (const one of chapters) {
    const own = [...one.querySelectorAll(".operation")];
    one.hidden = own.length > 0 && own.every((each) => each.hidden);
  }
  const count = operations.filter((one) => !one.hidden).length;
  found.textContent = search.value.trim() ? `${count} of ${operations.length} requests` : "";
}

// A link to a request also opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target?.matches(".operation")) return;
  search.value = "";
  filter();
  target.open = true;
  target.scrollIntoView();
}

function requestOf(form) {
  const { method, path } = form.dataset;
  const query = new URLSearchParams();
  let address = path;
  for (const input of form.querySelectorAll("[data-in]")) {
    const { name, value } = input;
    if (input.dataset.in === "path") {
      address = address.replace(`{${name}}`, encodeURIComponent(value));
    } else if (value) query.set(name, value);
  }
  const url = new URL(address.slice(1), root);
  url.search = query.toString();
  const headers = { Accept: "application/json, */*;q=0.5" };
  if (token.value) headers.Authorization = `Bearer ${token.value.trim()}`;
  const { body, "media-type": kind } = form.elements;
  const hasBody = body && body.value.trim();
  if (hasBody) headers["Content-Type"] = kind.value;
  return { url, method, headers, body: hasBody ? body.value : undefined };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// The token is left out, so that nobody copies it into a chat or a file by mistake.
function asCurl({ url, method, headers, body }) {
  const parts = ["curl -sS"];
  if (method !== (body === undefined ? "GET" : "POST")) parts.push(`-X ${method}`);
  parts.push(quoted(url.href));
  if (headers.Authorization) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined) {
    parts.push(`-H 'Content-Type: ${headers["Content-Type"]}' --data-binary ${quoted(body)}`);
  }
  return parts.join(" ");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(form) {
  const [button, status, curl, answer] =
    ["button", ".status", ".curl", ".answer"].map((one) => form.querySelector(one));
  const { url, ...request } = requestOf(form);
  curl.textContent = asCurl({ url, ...request });
  curl.hidden = false;
  answer.hidden = true;
  status.textContent = "Waiting …";
  button.disabled = true;
  const started = performance.now();
  try {
    const response = await fetch(url, { ...request, credentials: "omit" });
    const text = await response.text();
    const ms = Math.round(performance.now() - started);
    status.textContent = `${response.status} ${response.statusText} · ${ms} ms`;
    answer.textContent = pretty(text).slice(0, MOST_SHOWN);
    answer.hidden = !text;
  } catch (problem) {
    status.textContent = `There was no response: ${problem.message}`;
  } finally {
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll(".try")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  const kind = form.elements["media-type"];
  kind?.addEventListener("change", () => {
    form.elements.body.value = kind.selectedOptions[0].dataset.example;
  });
}
tools.hidden = false;
tools.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", filter);
addEventListener("hashchange", openTarget);
addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  search.focus();
});
openTarget();

// The chat: the chosen person, the messages, and the progress of the last push.
import { addressOf, call } from "./call.js";
import { followPhones, showPhonesOfOthers } from "./phones.js";

const WAIT_S = 25;
const RETRY_MS = 1500;
const JOB_POLL_MS = 250;
const MAX_FOLLOW_MS = 120_000;
const MAX_BUBBLES = 300;

const find = (selector) => document.querySelector(selector);
const chat = find(".chat").dataset.conversation;
const [log, hint, composer, message, problemArea] =
  ["#log", "#hint", "#composer", "#message", "#problem"].map(find);
const people = [...document.querySelectorAll("[name=token]")];
const names = new Map(people.map((one) => [Number(one.dataset.id), one.dataset.name]));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const writer = () => people.find((one) => one.checked);
let last = 0;
let followed = 0;
// Whether the newest message is in view; then it stays there.
let isAtEnd = true;

function showProblem(problem) {
  problemArea.hidden = !problem;
  if (problem) problemArea.textContent = problem;
}

// Shows the current state of a message, which may have been edited or deleted.
function fillBubble(bubble, sent) {
  const isDeleted = Boolean(sent.deleted_at);
  bubble.classList.toggle("deleted", isDeleted);
  bubble.querySelector(".text").textContent = isDeleted ? "Deleted" : sent.text;
}

function showMessage(sent) {
  if (sent.seq <= last) {
    const known = log.querySelector(`[data-message="${sent.id}"]`);
    if (known) fillBubble(known, sent);
    return;
  }
  last = sent.seq;
  const bubble = find("#bubble").content.firstElementChild.cloneNode(true);
  bubble.dataset.sender = sent.sender;
  bubble.dataset.message = sent.id;
  fillBubble(bubble, sent);
  bubble.querySelector(".who").textContent = names.get(sent.sender) ?? sent.sender_name ?? "";
  const time = bubble.querySelector("time");
  time.dateTime = sent.created_at;
  time.textContent = new Date(sent.created_at)
    .toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  log.append(bubble);
  if (log.children.length > MAX_BUBBLES) log.firstElementChild.remove();
  hint.hidden = true;
  if (String(sent.sender) === writer().dataset.id) isAtEnd = true;
}

// The job, a problem or a longer text takes room from the messages.
function keepEnd() {
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function updateView() {
  const me = writer();
  for (const bubble of log.children) {
    bubble.classList.toggle("mine", bubble.dataset.sender === me.dataset.id);
  }
  showPhonesOfOthers(me.dataset.name);
  keepEnd();
}

async function followChat() {
  const messages = `/groupchat/${chat}/messages`;
  const load = async (query) => {
    const page = await call(writer().value, `${messages}?${query}`);
    page.messages.forEach(showMessage);
    return page.messages.length;
  };
  for (;;) {
    try {
      // Reload the newest ones each time: a long poll does not report deletions.
      await load("limit=50");
      updateView();
      showProblem("");
      const started = performance.now();
      const count = await load(`after=${last}&wait=${WAIT_S}`);
      updateView();
      // The server answers at once if too many requests wait, so wait here.
      if (!count && performance.now() - started < 1000) await pause(1000);
    } catch (problem) {
      showProblem(`${problem.message} Retrying.`);
      await pause(RETRY_MS);
    }
  }
}

function showJob(job) {
  const area = find(".job");
  const bar = area.querySelector("progress");
  const total = job.total ?? 0;
  const isFailed = job.state === "failed";
  area.hidden = false;
  area.classList.toggle("failed", isFailed);
  area.classList.toggle("partly", job.failed > 0 && !isFailed);
  bar.max = total || 1;
  // What was not reached leaves a gap in the bar.
  const hasEnded = isFailed || job.state === "completed";
  bar.value = total && !isFailed ? job.accepted : Number(hasEnded) * bar.max;
  const counts = job.total === null ? "" : ` · ${job.accepted} of ${total} devices reached`;
  find("#job").textContent = `Job ${job.id}: ${job.state}${counts}`;
  area.querySelector("a").href = addressOf(`/jobs/${job.id}`);
}

async function followJob(id) {
  followed = id;
  const until = performance.now() + MAX_FOLLOW_MS;
  while (followed === id && performance.now() < until) {
    const job = await call(writer().value, `/jobs/${id}`);
    if (followed === id) showJob(job);
    if (job.state === "completed" || job.state === "failed") return;
    await pause(JOB_POLL_MS);
  }
}

async function send() {
  const body = {
    conversation: Number(chat),
    message: message.value,
    // With an id, a retry after a lost response does not send the message twice.
    client_id: (message.dataset.id ||= crypto.getRandomValues(new Uint32Array(4)).join("-")),
  };
  const sent = await call(writer().value, "/groupchat/send", { method: "POST", body });
  message.value = "";
  message.dataset.id = "";
  fitHeight();
  showProblem("");
  await followJob(sent.job.id);
}

// Deletes a message; the server withdraws its notifications.
async function remove(bubble) {
  const id = bubble.dataset.message;
  await call(writer().value, `/groupchat/${chat}/messages/${id}`, { method: "DELETE" });
  fillBubble(bubble, { deleted_at: true });
  log.focus();
}

function fitHeight() {
  message.rows = Math.min(5, message.value.split("\n").length);
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  if (message.value.trim()) send().catch((problem) => showProblem(problem.message));
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
message.addEventListener("input", () => {
  message.dataset.id = "";
  fitHeight();
});
log.addEventListener("scroll", () => {
  isAtEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 8;
});
new ResizeObserver(keepEnd).observe(log);
log.addEventListener("click", ({ target }) => {
  if (!target.matches(".remove")) return;
  remove(target.closest(".bubble")).catch((problem) => showProblem(problem.message));
});
for (const person of people) person.addEventListener("change", updateView);

updateView();
followPhones();
followChat();

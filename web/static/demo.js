// The chat: who writes, what is said, and how far the last message's push is.
import { call } from "./call.js";
import { followPhones, showPhonesOfOthers } from "./phones.js";

const WAIT_S = 25;
const AGAIN_MS = 1500;
const JOB_EVERY_MS = 250;
const LONGEST_FOLLOW_MS = 120_000;
const MOST_BUBBLES = 300;

const find = (selector) => document.querySelector(selector);
const chat = find(".chat").dataset.conversation;
const [log, hint, composer, message, trouble] =
  ["#log", "#hint", "#composer", "#message", "#trouble"].map(find);
const people = [...document.querySelectorAll("[name=token]")];
const names = new Map(people.map((one) => [Number(one.dataset.id), one.dataset.name]));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const writer = () => people.find((one) => one.checked);
let last = 0;
let followed = 0;

function complain(problem) {
  trouble.hidden = !problem;
  if (problem) trouble.textContent = problem;
}

// What a bubble says; its message may have been changed or deleted meanwhile.
function tell(bubble, said) {
  const isGone = Boolean(said.deleted_at);
  bubble.classList.toggle("gone", isGone);
  bubble.querySelector(".text").textContent = isGone ? "Deleted" : said.text;
}

function say(said) {
  if (said.seq <= last) {
    const known = log.querySelector(`[data-message="${said.id}"]`);
    if (known) tell(known, said);
    return;
  }
  last = said.seq;
  const bubble = find("#bubble").content.firstElementChild.cloneNode(true);
  bubble.dataset.sender = said.sender;
  bubble.dataset.message = said.id;
  tell(bubble, said);
  bubble.querySelector(".who").textContent = names.get(said.sender) ?? "Somebody";
  const time = bubble.querySelector("time");
  time.dateTime = said.created_at;
  time.textContent = new Date(said.created_at)
    .toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  log.append(bubble);
  if (log.children.length > MOST_BUBBLES) log.firstElementChild.remove();
  hint.hidden = true;
  log.scrollTop = log.scrollHeight;
}

function chooseSides() {
  const me = writer();
  for (const bubble of log.children) {
    bubble.classList.toggle("mine", bubble.dataset.sender === me.dataset.id);
  }
  showPhonesOfOthers(me.dataset.name);
}

async function followChat() {
  const messages = `/groupchat/${chat}/messages`;
  const look = async (query) => {
    const page = await call(writer().value, `${messages}?${query}`);
    page.messages.forEach(say);
    return page.messages.length;
  };
  for (;;) {
    try {
      // The last ones each time: that one of them was deleted is no news by itself.
      await look("limit=50");
      chooseSides();
      complain("");
      const asked = performance.now();
      const news = await look(`after=${last}&wait=${WAIT_S}`);
      chooseSides();
      // Too many are waiting: the server answers at once, so we do the waiting.
      if (!news && performance.now() - asked < 1000) await pause(1000);
    } catch (problem) {
      complain(`${problem.message} Trying again.`);
      await pause(AGAIN_MS);
    }
  }
}

function showJob(job) {
  const area = find(".job");
  const bar = area.querySelector("progress");
  const done = job.accepted + job.failed;
  const total = job.total ?? 0;
  area.hidden = false;
  area.classList.toggle("failed", job.state === "failed");
  bar.max = total || 1;
  bar.value = total ? done : Number(job.state === "completed");
  const counts = job.total === null ? "" : ` · ${job.accepted} of ${total} devices have it`;
  find("#job").textContent = `Job ${job.id}: ${job.state}${counts}`;
  area.querySelector("a").href = `/jobs/${job.id}`;
}

async function followJob(id) {
  followed = id;
  const until = performance.now() + LONGEST_FOLLOW_MS;
  while (followed === id && performance.now() < until) {
    const job = await call(writer().value, `/jobs/${id}`);
    if (followed === id) showJob(job);
    if (job.state === "completed" || job.state === "failed") return;
    await pause(JOB_EVERY_MS);
  }
}

async function send() {
  const body = {
    conversation: Number(chat),
    message: message.value,
    // After a lost answer the same message is not said twice.
    client_id: (message.dataset.id ||= crypto.getRandomValues(new Uint32Array(4)).join("-")),
  };
  const sent = await call(writer().value, "/groupchat/send", { method: "POST", body });
  message.value = "";
  message.dataset.id = "";
  grow();
  complain("");
  await followJob(sent.job.id);
}

// Its notifications go with it.
async function remove(bubble) {
  const id = bubble.dataset.message;
  await call(writer().value, `/groupchat/${chat}/messages/${id}`, { method: "DELETE" });
  tell(bubble, { deleted_at: true });
  log.focus();
}

function grow() {
  message.rows = Math.min(5, message.value.split("\n").length);
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  if (message.value.trim()) send().catch((problem) => complain(problem.message));
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
message.addEventListener("input", () => {
  message.dataset.id = "";
  grow();
});
log.addEventListener("click", ({ target }) => {
  if (!target.matches(".remove")) return;
  remove(target.closest(".bubble")).catch((problem) => complain(problem.message));
});
for (const person of people) person.addEventListener("change", chooseSides);

chooseSides();
followPhones();
followChat();

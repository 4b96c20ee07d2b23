// A rival of `others`: pg-boss, which queues the job in the message's transaction. Run by
// node with pg-boss and pg in NODE_PATH; libpq's variables name the database.
//
//     node pg_boss_push.cjs web PORT
//     node pg_boss_push.cjs worker

const fs = require("fs");
const http = require("http");
const http2 = require("http2");
const { Pool } = require("pg");
const { PgBoss } = require("pg-boss");

const QUEUE = "push";
// Jobs that a worker takes and ends together.
const BATCH = 20;
const SAVE = `
  INSERT INTO message (chat_id, sender_id, text)
  SELECT member.chat_id, account.id, $1
  FROM account JOIN member ON member.account_id = account.id
  WHERE account.token = $2 AND member.chat_id = $3
  RETURNING id`;
const RECIPIENTS = `
  SELECT message.text, message.chat_id, sender.name, device.id, device.token
  FROM message
  JOIN account AS sender ON sender.id = message.sender_id
  JOIN member ON member.chat_id = message.chat_id
  JOIN device ON device.account_id = member.account_id
  WHERE message.id = $1 AND member.account_id <> message.sender_id`;
const HEADERS = {
  ":method": "POST",
  // As long as a provider token signed with ES256.
  authorization: "bearer " + "t".repeat(190),
  "apns-topic": "com.example.chat",
  "apns-push-type": "alert",
  "apns-priority": "10",
};

const pool = new Pool({ max: 8 });

async function start(useListenNotify) {
  const boss = new PgBoss({
    host: process.env.PGHOST,
    user: process.env.PGUSER,
    database: process.env.PGDATABASE,
    useListenNotify,
  });
  boss.on("error", console.error);
  await boss.start();
  await boss.createQueue(QUEUE, { notify: true });
  return boss;
}

async function send(boss, token, sent) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const given = [sent.message, token, sent.conversation];
    const saved = await client.query({ name: "save", text: SAVE, values: given });
    if (saved.rows.length === 0) {
      throw new Error("not a member");
    }
    const id = Number(saved.rows[0].id);
    const executeSql = (text, values) => client.query(text, values);
    await boss.send(QUEUE, { id }, { db: { executeSql } });
    await client.query("COMMIT");
    return id;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

async function answer(boss, request, response) {
  let body = "";
  for await (const piece of request) {
    body += piece;
  }
  const token = (request.headers.authorization ?? "").replace("Bearer ", "");
  let status = 201;
  let answered;
  try {
    answered = { message: { id: await send(boss, token, JSON.parse(body)) } };
  } catch (error) {
    [status, answered] = [403, { error: error.message }];
  }
  const text = JSON.stringify(answered);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

async function web(port) {
  const boss = await start(false);
  const server = http.createServer((request, response) =>
    answer(boss, request, response),
  );
  server.listen(port, "127.0.0.1");
}

function pushOne(provider, row, messageId) {
  const payload = JSON.stringify({
    aps: {
      alert: { title: row.name, body: row.text },
      sound: "default",
      "thread-id": row.chat_id,
    },
    chat: row.chat_id,
    message: messageId,
    // The benchmark's sink finds its way by it.
    device: Number(row.id),
  });
  return new Promise((resolve, reject) => {
    const headers = { ...HEADERS, ":path": "/3/device/" + row.token };
    const stream = provider.request(headers);
    stream.on("response", (found) => {
      if (found[":status"] !== 200) {
        reject(new Error(`answered ${found[":status"]}`));
      }
    });
    stream.on("error", reject);
    stream.on("close", resolve);
    stream.resume();
    stream.end(payload);
  });
}

async function push(provider, messageId) {
  const query = { name: "recipients", text: RECIPIENTS, values: [messageId] };
  const { rows } = await pool.query(query);
  await Promise.all(rows.map((row) => pushOne(provider, row, messageId)));
}

async function work() {
  const boss = await start(true);
  const provider = http2.connect(`https://localhost:${process.env.RIVAL_PROVIDER}`, {
    ca: fs.readFileSync(process.env.RIVAL_CA_FILE),
    lookup: (_name, options, found) =>
      options.all
        ? found(null, [{ address: "127.0.0.1", family: 4 }])
        : found(null, "127.0.0.1", 4),
  });
  provider.on("error", console.error);
  const options = { batchSize: BATCH, burstWhenBatchFull: true };
  await boss.work(QUEUE, { ...options, pollingIntervalSeconds: 0.5 }, (jobs) =>
    Promise.all(jobs.map((job) => push(provider, job.data.id))),
  );
}

const [role, port] = process.argv.slice(2);
(role === "web" ? web(Number(port)) : work()).catch((error) => {
  console.error(error);
  process.exit(1);
});

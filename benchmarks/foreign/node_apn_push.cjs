// A measurement of node-apn, run by node with the package in NODE_PATH.
//
//     node node_apn_push.cjs PORT CA_FILE KEY_FILE PUSHES < pushing.json

const fs = require("fs");
const apn = require("@parse/node-apn");

// The sink allows this number of open streams.
const BATCH = 1000;

async function main() {
  const [port, caFile, keyFile, pushes] = process.argv.slice(2);
  const pushing = JSON.parse(fs.readFileSync(0));
  const body = JSON.parse(pushing.body);
  const provider = new apn.Provider({
    token: { key: keyFile, keyId: "ABCDE12345", teamId: "TEAM123456" },
    address: "127.0.0.1",
    port: Number(port),
    ca: fs.readFileSync(caFile),
    production: false,
  });
  const note = new apn.Notification();
  note.aps = body.aps;
  note.payload = { conversation: body.conversation, message: body.message };
  note.topic = pushing.headers["apns-topic"];
  note.pushType = "alert";
  note.priority = 10;
  note.collapseId = pushing.headers["apns-collapse-id"];
  const devices = Array.from(
    { length: BATCH },
    (_, number) => pushing.tokens[number % pushing.tokens.length],
  );
  // The first ones open the connection.
  await provider.send(note, devices);
  const count = Math.floor(Number(pushes) / BATCH) * BATCH;
  const began = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  for (let sent = 0; sent < count; sent += BATCH) {
    const result = await provider.send(note, devices);
    if (result.sent.length !== BATCH) {
      throw new Error(JSON.stringify(result.failed[0]));
    }
  }
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const used = process.cpuUsage(cpu);
  console.log(
    JSON.stringify({
      pushes_per_s: count / seconds,
      cpu_us: (used.user + used.system) / count,
    }),
  );
  await provider.shutdown();
}

main();

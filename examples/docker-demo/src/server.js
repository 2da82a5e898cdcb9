const os = require('node:os');
const express = require('express');

const app = express();
const port = Number(process.env.PORT ?? 3000);
let visits = 0;

app.get('/', (request, response) => {
  visits += 1;
  console.log(`GET / from ${request.ip} (visit ${visits})`);
  response.send(`<!doctype html>
<title>Hello from a container</title>
<h1>Hello from a container</h1>
<p>Container <code>${os.hostname()}</code>, Node ${process.version}, up ${Math.round(process.uptime())} s, visit ${visits}.</p>
`);
});

app.get('/health', (request, response) => {
  response.json({ status: 'ok', visits });
});

const server = app.listen(port, () => console.log(`Listening on port ${port}`));

// As process 1 there is no default for these: without a handler, `stop` would wait ten seconds and kill.
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    console.log(`${signal}: closing`);
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}

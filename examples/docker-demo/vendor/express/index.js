const http = require('node:http');

/** `get`, `listen`, and on the response `send` and `json`: what the demo's server needs, and nothing else. */
module.exports = function express() {
  const routes = new Map();
  return {
    get: (path, handler) => void routes.set(path, handler),
    listen(port, ready) {
      return http
        .createServer((request, response) => {
          const answer = (type, body) => {
            response.setHeader('Content-Type', type);
            response.end(body);
          };
          request.ip = request.socket.remoteAddress;
          response.send = (text) => answer('text/html; charset=utf-8', text);
          response.json = (value) => answer('application/json; charset=utf-8', JSON.stringify(value));
          const handler =
            request.method === 'GET' ? routes.get(new URL(request.url, 'http://local').pathname) : undefined;
          if (handler) return handler(request, response);
          response.statusCode = 404;
          answer('text/plain; charset=utf-8', `Cannot ${request.method} ${request.url}\n`);
        })
        .listen(port, ready);
    },
  };
};

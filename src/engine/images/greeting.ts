/** What the image `hello-gantry` says. */
export const GREETING = `
Hello from Gantry!

This text was printed inside a container:
  1. the client asked the engine for the image hello-gantry;
  2. the engine had none, and put one together from this machine's busybox,
     without any network;
  3. it made a container of the image, ran \`cat /hello\` in it, and sent you
     what it printed.

Next:
  gantry run -it busybox sh                     a shell in a container
  gantry image bootstrap debian:bookworm-slim   a Debian base image
  gantry demo                                   build and run a web server

`;

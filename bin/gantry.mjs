#!/usr/bin/env -S node --
// The installed command: the command line, for `gantry daemon` the daemon, for `gantry registry serve` and
// `gantry registry prune` a registry, unless it is one of the engine's; from the bundle.
const [major] = process.versions.node.split('.');
if (Number(major) < 24) {
  console.error(`gantry needs Node >= 24, this is ${process.version}`);
  process.exit(1);
}
if (process.argv[2] === 'daemon') {
  process.argv.splice(2, 1);
  await import('../dist/daemon/main.js');
} else if (
  process.argv[2] === 'registry' &&
  ['serve', 'prune'].includes(process.argv[3]) &&
  !process.argv.some((word) => /^(--engine|--detach|-d)(=|$)/.test(word))
) {
  process.argv.splice(2, 1);
  await import('../dist/registry/main.js');
} else {
  await import('../dist/cli/main.cjs');
}

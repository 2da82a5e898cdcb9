/** Runs a container from a program: `sudo node examples/library/run.ts [DATA-ROOT]`. */
import { Engine } from '../../src/index.ts'; // from outside of this repository: 'gantry'

await using engine = await Engine.open({ dataRoot: process.argv[2] ?? '/var/lib/gantry-example' });

const { exitCode, stdout } = await engine.run({
  image: 'busybox',
  command: ['sh', '-c', 'echo "Hello from $(hostname), $NAME"; exit 3'],
  env: { NAME: 'reader' },
  network: 'none',
});

console.log(`${stdout.trim()} (exit code ${exitCode})`);

/** Builds an image from a program and shows what each step was: `sudo node examples/library/build.ts [DATA-ROOT]`. */
import { Engine } from '../../src/index.ts'; // from outside of this repository: 'gantry'

await using engine = await Engine.open({ dataRoot: process.argv[2] ?? '/var/lib/gantry-example' });

const { id } = await engine.build({
  dockerfileText: `FROM busybox
ARG NAME
RUN --mount=type=secret,id=word echo "$(cat /run/secrets/word), $NAME" > /greeting
CMD ["cat", "/greeting"]
`,
  tags: ['greeting:1'],
  networkMode: 'none',
  buildArgs: { NAME: 'reader' },
  secrets: { word: 'Hello' },
  onEvent: (event) => {
    if (event.type === 'done') console.log(`${event.vertex.text.split('\n')[0]}: ${event.origin}`);
  },
});

const { stdout } = await engine.run({ image: 'greeting:1', network: 'none' });
console.log(`${id.slice(0, 19)}: ${stdout.trim()}`);

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseLab } from './lab.ts';

const TEXT = `# A title
<!-- images: a:1, b:2 -->

Some words.

## Step

\`\`\`dockerfile file=app/Dockerfile
FROM a:1
\`\`\`

\`\`\`sh
gantry run a:1
\`\`\`
<!-- expect: ^hello$ -->
<!-- exit: 3 -->

\`\`\`text
a picture
\`\`\`

\`\`\`sh cleanup
gantry rm x
\`\`\`
`;

test('a lab is read into its steps', () => {
  assert.deepEqual(parseLab('03-a-name.md', TEXT), {
    number: '03',
    name: 'a-name',
    title: 'A title',
    images: ['a:1', 'b:2'],
    steps: [
      { kind: 'text', text: 'Some words.' },
      { kind: 'heading', text: 'Step' },
      { kind: 'file', path: 'app/Dockerfile', content: 'FROM a:1\n' },
      { kind: 'run', script: 'gantry run a:1', expect: [/^hello$/m], exit: 3, cleanup: false },
      { kind: 'picture', text: 'a picture' },
      { kind: 'run', script: 'gantry rm x', expect: [], exit: 0, cleanup: true },
    ],
  });
});

test('what is wrong is told with its place', () => {
  assert.throws(() => parseLab('x.md', ''), /NN-NAME/);
  assert.throws(() => parseLab('01-x.md', 'a\n```sh\nb'), /01-x.md:2: .*not closed/);
  assert.throws(() => parseLab('01-x.md', '<!-- expect: a -->'), /01-x.md:1: there is no block/);
});

test('the labs of this project: each reads, runs something, checks it and cleans up', () => {
  const directory = join(import.meta.dirname, '../../../labs');
  const files = readdirSync(directory).filter((name) => name.endsWith('.md') && name !== 'README.md');
  assert.ok(files.length >= 13, `${files.length} labs`);
  for (const file of files) {
    const { title, steps } = parseLab(file, readFileSync(join(directory, file), 'utf8'));
    assert.notEqual(title, '', file);
    const runs = steps.filter((step) => step.kind === 'run');
    if (runs.length === 0) continue; // questions and answers
    assert.ok(
      runs.some(({ expect }) => expect.length > 0),
      `${file}: nothing is expected of any command`,
    );
    assert.ok(
      runs.some(({ cleanup }) => cleanup),
      `${file}: nothing cleans up`,
    );
  }
});

/** Files of thousands of instructions and hundreds of stages: what each adds must not be paid for by all after it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withEngine } from '../support/private-engine.ts';

const MANY = 5000;
const lines = (text: (index: number) => string, count = MANY): string =>
  Array.from({ length: count }, (_, index) => text(index)).join('\n');

test('thousands of instructions, hundreds of stages', async () => {
  await withEngine(async (engine) => {
    const build = async (dockerfileText: string) => {
      const { id } = await engine.build({ dockerfileText });
      return { config: (await engine.images.inspect(id)).Config, history: await engine.images.history(id) };
    };

    const { config, history } = await build(
      [
        'FROM busybox AS base',
        lines((n) => `ARG A${n}=$A${Math.max(0, n - 1)}`, 1000),
        lines((n) => `ENV E${n}=\${E${Math.max(0, n - 1)}:-first}`),
        'ENV E7=again',
        lines((n) => `LABEL l${n}=$E${n}`),
        lines((n) => `EXPOSE ${n + 1}`),
        lines((n) => `VOLUME /v${n}`, 1000),
      ].join('\n'),
    );
    assert.equal(config?.Env?.length, 1 + MANY);
    assert.deepEqual(config?.Env?.slice(1, 3), ['E0=first', 'E1=first']);
    assert.equal(config?.Env?.[8], 'E7=again', 'in its place');
    assert.equal(config?.Env?.at(-1), `E${MANY - 1}=first`);
    assert.equal(Object.keys(config?.Labels ?? {}).filter((name) => /^l\d+$/.test(name)).length, MANY);
    assert.equal(config?.Labels?.['l7'], 'again');
    assert.equal(Object.keys(config?.ExposedPorts ?? {}).length, MANY);
    assert.equal(Object.keys(config?.Volumes ?? {}).length, 1000);
    assert.equal(history.filter(({ CreatedBy }) => CreatedBy.startsWith('ENV E')).length, MANY + 1);

    // Two stages on one, each with values of its own.
    const chained = await build(
      [
        'FROM busybox AS s0\nENV WAY=0 LAST=0',
        lines((n) => `FROM s${n} AS s${n + 1}\nENV WAY=\${WAY}.${n % 10} LAST=${n}`, 500),
        'FROM s250\nENV OTHER=$LAST',
      ].join('\n'),
    );
    const ways = chained.config?.Env?.find((line) => line.startsWith('WAY='))?.split('.');
    assert.equal(ways?.length, 251);
    assert.ok(chained.config?.Env?.includes('OTHER=249'));
  });
});

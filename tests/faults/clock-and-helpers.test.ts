/** The clock jumps by ten years, there and back; programs that work for the engine are killed: what it promised holds. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { shell as shellOf } from './operations.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';
const TEN_YEARS = 10 * 365 * 86_400_000;

describe('clock jumps and killed helpers', { skip, timeout: 240_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-clock-'));
  const clock = join(directory, 'clock');
  const crun = join(directory, 'crun');
  const block = join(directory, 'block');
  const options = { runtimes: { slow: { path: crun } } };
  let daemon: DaemonProcess;
  const shell = (script: string): Promise<{ code: number; output: string }> => shellOf(daemon, script);
  const docker = async (words: string): Promise<string> => {
    const { code, output } = await shell(`docker ${words}`);
    assert.equal(code, 0, `docker ${words}: ${output}`);
    return output.trim();
  };
  const until = async (what: string, holds: () => Promise<boolean> | boolean): Promise<void> => {
    for (let tries = 0; !(await holds()); tries++) {
      assert.ok(tries < 300, what);
      await sleep(200);
    }
  };
  const jump = async (ms: number): Promise<void> => {
    writeFileSync(`${clock}.new`, String(ms));
    spawn('mv', [`${clock}.new`, clock]);
    const year = new Date(Date.now() + ms).getUTCFullYear();
    await until(`the engine's clock is in ${year}`, async () =>
      (await docker('info -f {{.SystemTime}}')).startsWith(String(year)),
    );
  };

  before(async () => {
    // a runtime that waits as long as the file is there, so that it can be killed in the middle of its work
    writeFileSync(
      crun,
      `#!/bin/sh\ncase " $* " in *" create "*) while [ -e ${block} ]; do sleep 0.05; done;; esac\nexec crun "$@"\n`,
    );
    chmodSync(crun, 0o755);
    writeFileSync(join(directory, 'daemon.json'), JSON.stringify(options));
    process.env['NODE_OPTIONS'] = `--import=${new URL('../support/shifted-clock.ts', import.meta.url).href}`;
    process.env['SHIFTED_CLOCK'] = clock;
    daemon = new DaemonProcess({ directory, args: ['--config-file', join(directory, 'daemon.json')] });
    await daemon.start();
    await daemon.importBusybox();
  });
  after(async () => {
    await shell('docker ps -aq | xargs -r docker rm -f');
    await daemon.stop();
    delete process.env['NODE_OPTIONS'];
    await nothingLeft(daemon);
  });

  for (const [where, ms] of [
    ['ten years on', TEN_YEARS],
    ['and ten years back from there, and more', -TEN_YEARS],
  ] as const) {
    test(`the clock jumps ${where}`, async () => {
      await docker('run -d --name runs --network none busybox sleep 100000');
      // fails from the beginning, which counts when its first two seconds are over
      await docker(
        'run -d --name ill --network none --health-cmd false --health-interval 300ms --health-start-period 2s --health-start-interval 300ms --health-retries 2 busybox sleep 100000',
      );
      await docker('run -d --name again --restart always --network none busybox sleep 0.3');
      const restarts = async (): Promise<number> => Number(await docker('inspect -f {{.RestartCount}} again'));
      const pid = await docker('inspect -f {{.State.Pid}} runs');
      await jump(ms);
      assert.equal(await docker('exec runs echo here'), 'here');
      await until(
        'the health is found to be bad',
        async () => (await docker('inspect -f {{.State.Health.Status}} ill')) === 'unhealthy',
      );
      const before = await restarts();
      await until('restarts go on', async () => (await restarts()) > before);
      // one that does not obey is waited for as long as was said, and no longer
      const from = performance.now();
      await docker('stop -t 1 runs');
      const took = performance.now() - from;
      assert.ok(took > 900 && took < 30_000, `${took} ms`);
      assert.match(await docker('ps -a --filter name=runs --format {{.Status}}'), /^Exited \(137\)/);
      await docker('start runs');
      await daemon.kill();
      await daemon.start();
      assert.notEqual(await docker('inspect -f {{.State.Pid}} runs'), pid);
      assert.equal(await docker('inspect -f {{.State.Running}} runs'), 'true');
      assert.equal((await shell('docker build -q - <<E\nFROM busybox\nRUN true\nE')).code, 0);
      await docker('rm -f runs ill again');
      await jump(0);
    });
  }

  /** Kills the first process of that kind, when there is one. */
  const killWhenThere = async (what: string, fits: (command: string) => boolean): Promise<void> => {
    let found: string | undefined;
    await until(`there is ${what}`, () => {
      found = readdirSync('/proc').find((pid) => {
        try {
          return /^\d+$/.test(pid) && fits(readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' '));
        } catch {
          return false;
        }
      });
      return found !== undefined;
    });
    process.kill(Number(found), 'SIGKILL');
  };

  test('the runtime is killed while it makes a container: one clear error, and the next start works', async () => {
    writeFileSync(block, '');
    const starts = shell('docker run --name cut --runtime slow --network none busybox echo hello');
    await killWhenThere(
      'the runtime',
      (command) => command.startsWith(`/bin/sh ${crun}`) && command.includes(' create '),
    );
    const { code, output } = await starts;
    assert.notEqual(code, 0);
    assert.match(output, /^docker: Error response from daemon: .+/m);
    rmSync(block);
    assert.match(await docker('ps -a --filter name=cut --format {{.Status}}'), /^Created|^Exited/);
    assert.equal(await docker('start -a cut'), 'hello');
    await docker('rm cut');
    assert.ok(!existsSync(block));
  });

  test('a monitor is killed: its container is ended, the others go on', async () => {
    await docker('run -d --name other --network none busybox sleep 100000');
    const id = await docker('run -d --name watched --network none busybox sleep 100000');
    await killWhenThere('the monitor', (command) => command.startsWith('conmon ') && command.includes(`--cid=${id}`));
    await until('its end is noticed', async () => (await docker('inspect -f {{.State.Running}} watched')) === 'false');
    assert.equal(await docker('inspect -f {{.State.Running}} other'), 'true');
    await docker('start watched');
    await docker('rm -f watched other');
  });
});

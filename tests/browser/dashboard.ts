/**
 * `npm run test:browser`: the dashboard in a real Chromium, on an engine of its own. Every page is opened, a terminal is
 * typed into, and 500 containers are scrolled through; nothing may be logged as an error. Screenshots go to a folder.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-browser-'));
const shots = join(import.meta.dirname, '../../.gantry/screenshots');
mkdirSync(shots, { recursive: true });
const daemon = new DaemonProcess({ directory });
const gantry = async (...words: string[]): Promise<string> => {
  const { code, stdout, stderr } = await runInProcess(words, { env: daemon.clientEnv });
  assert.equal(code, 0, stderr);
  return stdout.trim();
};
const launcher = join(import.meta.dirname, '../../gantry');
const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];

await daemon.start();
try {
  await gantry(
    'run',
    '-d',
    '--name',
    'web',
    '-p',
    '127.0.0.1::80',
    '-v',
    'data:/data',
    'busybox',
    'sh',
    '-c',
    'echo one line; sleep 3600',
  );
  mkdirSync(join(directory, 'context'));
  writeFileSync(
    join(directory, 'context/Dockerfile'),
    'FROM busybox AS one\nRUN touch /x\nFROM busybox\nCOPY --from=one /x /\n',
  );
  await gantry('build', '-t', 'built', join(directory, 'context'));
  for (let count = 0; count < 500; count += 10) {
    await Promise.all(
      Array.from({ length: 10 }, (_, at) => gantry('create', '--name', `many-${count + at}`, 'busybox')),
    );
  }
  const server = spawn(launcher, ['dashboard', '--no-open'], {
    env: daemon.clientEnv,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve) => {
    server.stdout.on('data', (chunk) => {
      const found = /http:\S+/.exec(String(chunk))?.[0];
      if (found) resolve(found);
    });
  });
  const browser = await chromium.launch({ executablePath, args: flags });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(url).origin)) errors.push(`asks ${request.url()}`);
    });
    const began = performance.now();
    await page.goto(url);
    await page.getByRole('link', { name: 'many-499' }).waitFor();
    console.log(`first page with 501 containers: ${(performance.now() - began).toFixed(0)} ms`);
    await page.screenshot({ path: join(shots, 'containers.png') });
    await page.getByRole('searchbox').fill('web');
    await page.getByRole('link', { name: 'web', exact: true }).click();
    await page.getByText('one line').waitFor();
    await page.screenshot({ path: join(shots, 'logs.png') });
    await page.getByRole('link', { name: 'terminal' }).click();
    await page.locator('.xterm').waitFor();
    await page.waitForTimeout(1000);
    await page.keyboard.type('echo $((40+2))\n');
    await page.locator('.xterm-accessibility-tree, .xterm-rows').getByText('42').first().waitFor();
    await page.screenshot({ path: join(shots, 'terminal.png') });
    for (const [key, words] of Object.entries({
      p: 'Compose projects',
      i: 'Images',
      b: 'Builds',
      n: 'Networks',
      v: 'Volumes',
      r: 'Registry',
      e: 'Events',
      d: 'Disk',
    })) {
      await page.locator('h1').click({ position: { x: 200, y: 5 } }); // out of the terminal or a field
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.getByRole('heading', { name: words, level: 1 }).waitFor();
      await page.getByText('One moment').waitFor({ state: 'detached' });
      await page.waitForTimeout(500);
      await page.screenshot({ path: join(shots, `${words.toLowerCase().replace(' ', '-')}.png`) });
    }
    const phone = await browser.newContext({
      viewport: { width: 390, height: 780 },
      colorScheme: 'dark',
      storageState: await context.storageState(),
    });
    const small = await phone.newPage();
    await small.goto(new URL(url).origin);
    await small.getByRole('link', { name: 'many-499' }).waitFor();
    const width = await small.evaluate('document.documentElement.scrollWidth');
    assert.ok(Number(width) <= 390, `the page is ${String(width)} wide on a telephone`);
    await small.screenshot({ path: join(shots, 'telephone.png') });
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    await ended;
  }
  const ids = (await gantry('ps', '-aq')).split('\n');
  await gantry('rm', '-f', ...ids);
  await gantry('volume', 'rm', 'data');
} finally {
  await daemon.stop();
}
assert.deepEqual(await leftBehind(daemon), []);
rmSync(directory, { recursive: true, force: true });
console.log(`The dashboard works in ${executablePath}. Screenshots: ${shots}`);

/** `gantry daemon`: flags and settings, then the engine, then the doors to it. */
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { errorMessage } from '../base/errors.ts';
import { VERSION } from '../base/version.ts';
import { dropSlabs } from '../base/slabs.ts';
import { whenThreadsRest } from '../base/worker-job.ts';
import { enterOwnNamespace } from '../engine/own-namespace.ts';
import { enterRootless } from '../engine/rootless/enter.ts';
import { Rootless } from '../engine/rootless/rootless.ts';
import { type CommandLine, helpText, parseCommandLine } from './command-line.ts';
import { type DaemonConfig, loadConfig } from './config.ts';
import { giveMemoryBack, keepMemoryTight } from '../linux/allocator.ts';
import { keepOpenAcrossExec } from '../linux/keep-open.ts';
import { goFirst, goFirstOfSessions } from '../linux/priority.ts';
import { enteredUserNamespace } from '../linux/rootless-namespaces.ts';
import { inheritedSockets } from './inherited-sockets.ts';
import { createLogger, type Logger } from './log.ts';
import { SYSTEM_PLACES, userPlaces } from './places.ts';

// Beside the bundle, where only its owner writes: what is cached there is run.
if (import.meta.filename.endsWith('.js')) enableCompileCache(join(dirname(import.meta.dirname), 'cache'));

function main(): void {
  let commandLine: CommandLine;
  let config: DaemonConfig;
  try {
    commandLine = parseCommandLine(process.argv.slice(2));
    if (commandLine.help) return void process.stdout.write(helpText());
    if (commandLine.version) return void process.stdout.write(`Gantry version ${VERSION}\n`);
    config = loadConfig(commandLine, isRootless(process.env) ? userPlaces(process.env) : SYSTEM_PLACES);
  } catch (error) {
    process.stderr.write(`${errorMessage(error)}\nSee 'gantry daemon --help'.\n`);
    process.exitCode = 1;
    return;
  }
  if (commandLine.validate) return void process.stdout.write('configuration OK\n');

  const log = createLogger(config.log);
  void run(commandLine, config, log).catch(async (error: unknown) => {
    log.error(`failed to start the daemon: ${errorMessage(error)}`);
    await log.flush();
    process.exit(1);
  });
}

async function run(commandLine: CommandLine, config: DaemonConfig, log: Logger): Promise<void> {
  goFirstOfSessions();
  // Both replace this process: everything above happens once more, everything below only inside.
  const { dataRoot, execRoot } = config;
  const env = { ...process.env, NODE_OPTIONS: nodeOptions() };
  for (const { fd } of inheritedSockets(process.env, process.pid)) keepOpenAcrossExec(fd);
  const entered = enteredUserNamespace(process.env);
  if (entered) keepOpenAcrossExec(entered.network);
  else if (process.geteuid?.() !== 0) await enterRootless({ dataRoot, execRoot, env });
  log.debug(enterOwnNamespace({ dataRoot, execRoot, env }));
  const report = (message: string): void => log.info(message);
  const rootless = entered && (await Rootless.open({ execRoot, network: entered.network, report }));

  keepMemoryTight();
  await goFirst();
  // Threads that help it to collect 2 MiB are waited for, longer than the work takes where processors are short.
  setFlagsFromString('--no-parallel-scavenge');
  whenThreadsRest(() => {
    dropSlabs();
    giveMemoryBack();
  });
  const { Daemon } = await import('./daemon.ts');
  const daemon = new Daemon({ commandLine, config, log, env: process.env, host: rootless?.host });
  let ending = false;
  const end = (signal: string): void => {
    if (ending) process.exit(1);
    ending = true;
    log.info(`Processing signal '${signal}'`);
    // Whatever still hangs then is not worth waiting for: containers do not need us.
    setTimeout(() => process.exit(0), config.shutdownSeconds * 1000).unref();
    void daemon
      .close()
      .then(() => rootless?.close())
      .finally(() => process.exit(0));
  };
  process.on('SIGTERM', () => end('terminated'));
  process.on('SIGINT', () => end('interrupt'));
  process.on('SIGHUP', () => daemon.reload());
  // Otherwise Node opens a debugger's port.
  process.on('SIGUSR1', () => log.info('SIGUSR1 is ignored'));
  process.on('unhandledRejection', (reason) => {
    log.error(`unhandled rejection: ${errorMessage(reason)}`, { stack: stackOf(reason) });
  });
  process.on('uncaughtException', (error) => {
    log.error(`uncaught exception: ${errorMessage(error)}`, { stack: stackOf(error) });
    // A connection that broke where nobody listened harms nobody; anything else leaves us in a state we do not know.
    if (['EPIPE', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    void log.flush().then(() => process.exit(1));
  });
  try {
    await daemon.start();
  } catch (error) {
    await rootless?.close();
    throw error;
  }
}

/** An unprivileged user's engine: before it has entered its user namespace, and in there. */
function isRootless(env: NodeJS.ProcessEnv): boolean {
  return process.geteuid?.() !== 0 || enteredUserNamespace(env) !== undefined;
}

/** For the process that we become: a smaller young generation costs no time that can be measured, and saves 18 MiB. */
function nodeOptions(): string {
  const given = process.env['NODE_OPTIONS'] ?? '';
  return given.includes('semi-space') ? given : `${given} --max-semi-space-size=2`.trim();
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}

main();

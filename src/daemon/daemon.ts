import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { errorMessage } from '../base/errors.ts';
import { VERSION } from '../base/version.ts';
import type { BuildkitService } from '../buildkit/service.ts';
import type { EngineServices } from '../engine/engine.ts';
import { openEngine } from '../engine/open.ts';
import type { HostSockets } from '../linux/host-sockets.ts';
import { notifyService } from '../linux/service-notify.ts';
import type { CommandLine } from './command-line.ts';
import { type DaemonConfig, loadConfig } from './config.ts';
import { inheritedSockets } from './inherited-sockets.ts';
import { listen, refuseLiveSockets } from './listen.ts';
import type { Logger } from './log.ts';
import { removePidfile, writePidfile } from './pidfile.ts';
import { SYSTEM_PLACES, userPlaces } from './places.ts';
import { routeTable } from './routes/table.ts';
import { ScopeDoors } from './scope/scope-doors.ts';
import { ApiServer } from './server.ts';

export interface DaemonOptions {
  readonly commandLine: CommandLine;
  readonly config: DaemonConfig;
  readonly log: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Makes sockets of the host, when this process is not in the host's network. */
  readonly host?: HostSockets | undefined;
}

/** An engine and the sockets it is reached by, for as long as the process lives. */
export class Daemon {
  readonly #options: DaemonOptions;
  #engine: EngineServices | undefined;
  #server: ApiServer | undefined;
  #buildkit: Promise<BuildkitService> | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  /** Where `gantry system stop` and the like find this process. */
  get #enginePid(): string {
    return join(this.#options.config.execRoot, 'engine.pid');
  }

  /** Resolves once clients can connect. Throws what keeps it from starting, with nothing left open. */
  async start(): Promise<void> {
    const { config, log, env, host } = this.#options;
    try {
      // Before the engine, which may start containers: a second daemon on the same socket must not get so far.
      await refuseLiveSockets(config.hosts);
      if (config.pidfile !== undefined) writePidfile(config.pidfile);
      const engine = await openEngine({
        ...config.engine,
        hostSockets: host,
        report: (message) => log.info(message),
      });
      this.#engine = engine;
      // The engine's lock is ours now, so whatever the file says is of a dead one.
      writeFileSync(this.#enginePid, String(process.pid));
      const buildkit = (): Promise<BuildkitService> =>
        (this.#buildkit ??= this.#openBuildkit(engine).catch((error: unknown) => {
          this.#buildkit = undefined; // another may have more luck
          throw error;
        }));
      const scopes = new ScopeDoors(engine, log);
      this.#server = new ApiServer({
        routes: routeTable(engine, buildkit, scopes),
        tokens: (token) => scopes.byToken(token),
        audit: (line) => log.info(`scope: ${line}`),
        http2: (socket) => void this.#acceptHttp2(socket, buildkit),
        product: `Gantry/${VERSION} (linux)`,
        log,
      });
      await this.#serveRegistry(engine);
      await scopes.open(this.#server);
      await listen(this.#server, config.hosts, {
        tls: config.tls,
        allowPlainTcp: config.allowPlainTcp,
        allowAnyTls: config.allowAnyTls,
        group: config.group,
        log,
        inherited: inheritedSockets(env, process.pid),
        host,
      });
    } catch (error) {
      await this.close();
      throw error;
    }
    log.info('Daemon has completed initialization', { version: VERSION, pid: process.pid });
    this.#notify('READY=1');
  }

  /** When the first asks for it: its messages take a tenth of a second to be made, and some megabytes. */
  async #openBuildkit(engine: EngineServices): Promise<BuildkitService> {
    const { config, log } = this.#options;
    const { BuildkitService } = await import('../buildkit/service.ts');
    return new BuildkitService({
      engine,
      history: join(config.dataRoot, 'cache', 'build-history'),
      report: (message) => log.error(`BuildKit's protocol: ${message}`),
    });
  }

  /** The socket is paused, and listens to its errors. */
  async #acceptHttp2(socket: Duplex, buildkit: () => Promise<BuildkitService>): Promise<void> {
    try {
      const service = await buildkit();
      if (!socket.destroyed) service.accept(socket);
    } catch (error) {
      this.#options.log.error(`BuildKit's protocol: ${errorMessage(error)}`);
      socket.destroy();
    }
  }

  async #serveRegistry(engine: EngineServices): Promise<void> {
    const { config } = this.#options;
    if (config.registry) {
      const { addr, file } = config.registry;
      const settings = { ...engine.registry.settings(file), ...(addr !== undefined && { addr }) };
      await engine.registry.open(settings, { from: 'daemon' });
    }
    await engine.registry.restore();
  }

  /** Takes over what can change without a restart: the log level. */
  reload(): void {
    const { commandLine, log, env, host } = this.#options;
    try {
      const config = loadConfig(commandLine, host ? userPlaces(env) : SYSTEM_PLACES);
      log.level = config.log.level;
      log.info(`Reloaded configuration: log level ${config.log.level}; other settings take effect with a restart`);
    } catch (error) {
      log.error(`Configuration not reloaded: ${errorMessage(error)}`);
    }
  }

  /** Stops accepting, ends requests, lets go of the engine. Containers go on. Idempotent. */
  async close(): Promise<void> {
    const { config, log } = this.#options;
    this.#notify('STOPPING=1');
    const [server, engine] = [this.#server, this.#engine];
    const buildkit = this.#buildkit;
    this.#server = undefined;
    this.#buildkit = undefined;
    this.#engine = undefined;
    try {
      const graceMs = config.shutdownSeconds * 500;
      (await buildkit?.catch(() => undefined))?.close(); // one that never opened has nothing to close
      await Promise.all([server?.close(graceMs), engine?.registry.close({ graceMs })]);
      await engine?.close();
    } catch (error) {
      log.error(`while closing: ${errorMessage(error)}`);
    }
    if (config.pidfile !== undefined) removePidfile(config.pidfile);
    removePidfile(this.#enginePid);
    await log.flush();
  }

  #notify(state: string): void {
    const path = this.#options.env['NOTIFY_SOCKET'];
    if (!path) return;
    try {
      notifyService(path, state);
    } catch (error) {
      this.#options.log.warn(`the service manager could not be told ${state}: ${errorMessage(error)}`);
    }
  }
}

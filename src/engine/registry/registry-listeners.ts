import { isAbsolute } from 'node:path';
import type { RegistryListenerDocument } from '../../api/gantry.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { ServedRegistry } from '../../registry/server/serve.ts';
import { checkRegistrySettings, type RegistrySettings } from '../../registry/server/settings.ts';
import type { KeptListeners } from '../../state/kept-listeners.ts';
import type { OpenedRegistry, OpenRegistryOptions, RegistryService } from '../engine.ts';
import type { EngineRegistry } from './engine-registry.ts';

/** How long requests may go on when a listener is closed. */
const GRACE_MS = 10_000;

interface Open {
  readonly document: RegistryListenerDocument;
  readonly served: ServedRegistry;
  readonly ended: PromiseWithResolvers<void>;
  closing: Promise<void> | undefined;
}

/**
 * The registries that are open over one engine's images, all of the same store. One that is kept is written down once it
 * listens, before anybody is told so; it is forgotten before it is closed.
 */
export class RegistryListeners implements RegistryService {
  readonly #registry: EngineRegistry;
  readonly #kept: KeptListeners;
  readonly #report: (message: string) => void;
  readonly #open = new Map<string, Open>();
  /** Those that were kept and could not be opened again, by why. */
  readonly #failed = new Map<string, { readonly settings: RegistrySettings; readonly error: string }>();

  constructor(registry: EngineRegistry, kept: KeptListeners, report: (message: string) => void) {
    this.#registry = registry;
    this.#kept = kept;
    this.#report = report;
  }

  settings(file?: string): RegistrySettings {
    return this.#registry.settings(file);
  }

  check(value: unknown): RegistrySettings {
    const settings = checkRegistrySettings(value);
    for (const [name, file] of filesOf(settings)) {
      if (file === undefined || isAbsolute(file)) continue;
      throw new EngineError('invalid-argument', `${name} must be a full path on the engine's machine, ${file} is none`);
    }
    return settings;
  }

  async open(settings: RegistrySettings, options: OpenRegistryOptions = {}): Promise<OpenedRegistry> {
    const { audit, keep = false, from = 'client' } = options;
    const served = await this.#registry
      .serve(settings, {
        audit: (line) => {
          this.#report(`registry: ${line}`);
          audit?.(line);
        },
      })
      .catch((error: unknown) => {
        throw addressError(settings.addr, error);
      });
    const { address } = served;
    const open: Open = {
      document: describe(address, settings, keep ? 'kept' : from),
      served,
      ended: Promise.withResolvers<void>(),
      closing: undefined,
    };
    this.#open.set(address, open);
    this.#failed.delete(address);
    if (keep) {
      try {
        // By the port that it has, not by the 0 that was asked for: clients know that one.
        this.#kept.put({ id: address, name: address, settings: { ...settings, addr: address } });
      } catch (error) {
        await this.#close(open, 0);
        throw error;
      }
    }
    this.#report(`Registry listens on ${address}`);
    return {
      address,
      ended: open.ended.promise,
      close: ({ graceMs = GRACE_MS } = {}) => this.#close(open, graceMs),
    };
  }

  list(): RegistryListenerDocument[] {
    const failed = [...this.#failed].map(([address, { settings, error }]) => ({
      ...describe(address, settings, 'kept'),
      Error: error,
    }));
    return [...[...this.#open.values()].map(({ document }) => document), ...failed].sort((a, b) =>
      a.Address < b.Address ? -1 : 1,
    );
  }

  async stop(address: string): Promise<void> {
    const open = this.#open.get(address);
    if (!open && !this.#failed.has(address)) {
      const others = this.list().map((one) => one.Address);
      throw new EngineError(
        'not-found',
        `No such registry: ${address}${others.length === 0 ? '' : ` (there are ${others.join(', ')})`}`,
      );
    }
    if (open?.document.From === 'daemon') {
      throw new EngineError(
        'conflict',
        `the registry at ${address} is a setting of the engine: take --registry out of its flags or its file, and restart it`,
      );
    }
    this.#kept.delete(address);
    this.#failed.delete(address);
    if (open) await this.#close(open, GRACE_MS);
  }

  async restore(): Promise<void> {
    for (const { id, settings } of this.#kept.list()) {
      if (this.#open.has(id)) continue;
      try {
        await this.open(this.check(settings), { keep: true });
      } catch (error) {
        this.#failed.set(id, { settings: settings as RegistrySettings, error: errorMessage(error) });
        this.#report(`the registry at ${id} is not served: ${errorMessage(error)}`);
      }
    }
  }

  /** Closes all; what is kept is there for the next engine. */
  async close({ graceMs = 0 }: { graceMs?: number } = {}): Promise<void> {
    await Promise.all([...this.#open.values()].map((open) => this.#close(open, graceMs)));
  }

  #close(open: Open, graceMs: number): Promise<void> {
    open.closing ??= open.served.close({ graceMs }).finally(() => {
      this.#open.delete(open.document.Address);
      open.ended.resolve();
    });
    return open.closing;
  }
}

function describe(
  address: string,
  { tls, auth }: RegistrySettings,
  from: RegistryListenerDocument['From'],
): RegistryListenerDocument {
  const logins = auth?.htpasswd !== undefined || auth?.token !== undefined || tls?.clientCa !== undefined;
  return { Address: address, Tls: tls !== undefined, Logins: logins, From: from };
}

function* filesOf({ tls, auth, webhooks }: RegistrySettings): Iterable<[name: string, file: string | undefined]> {
  yield ['tls.cert', tls?.cert];
  yield ['tls.key', tls?.key];
  yield ['tls.clientCa', tls?.clientCa];
  yield ['auth.htpasswd', auth?.htpasswd];
  yield ['auth.token.keys', auth?.token?.keys];
  yield ['auth.token.secretFile', auth?.token?.secretFile];
  for (const [index, hook] of (webhooks ?? []).entries()) yield [`webhooks[${index}].secretFile`, hook.secretFile];
}

function addressError(address: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    return new EngineError('conflict', `cannot serve a registry on ${address}: the address is in use`, {
      cause: error,
    });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND' || code === 'EINVAL') {
    return new EngineError('invalid-argument', `cannot serve a registry on ${address}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return error;
}

import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../../base/errors.ts';
import { repositoryPattern } from './access-rules.ts';
import type { WebhookSettings } from './settings.ts';

/** What happened to a manifest. */
export interface RegistryEvent {
  readonly action: 'push' | 'pull' | 'delete';
  readonly repository: string;
  readonly digest?: string | undefined;
  readonly tag?: string | undefined;
  readonly mediaType?: string | undefined;
  readonly size?: number | undefined;
  readonly subject: string | undefined;
  readonly from: string | undefined;
}

const MAX_WAITING = 1000;
const ATTEMPTS = 6;
const FIRST_DELAY_MS = 500;
const TIMEOUT_MS = 10_000;
const CONTENT_TYPE = 'application/vnd.docker.distribution.events.v1+json';

export interface WebhookOptions {
  readonly report: (message: string) => void;
  readonly readSecret: (file: string) => string;
  readonly firstDelayMs?: number;
}

/**
 * Tells others of events, in the envelope of the distribution project: each receiver in the order they happened, again
 * with longer pauses while it does not take them. A receiver that is away for long loses the oldest, and is told how many.
 */
export class Webhooks {
  readonly #receivers: readonly Receiver[];

  constructor(settings: readonly WebhookSettings[], options: WebhookOptions) {
    this.#receivers = settings.map((one) => new Receiver(one, options));
  }

  get waiting(): number {
    return this.#receivers.reduce((sum, one) => sum + one.waiting, 0);
  }

  get dropped(): number {
    return this.#receivers.reduce((sum, one) => sum + one.dropped, 0);
  }

  publish(event: RegistryEvent): void {
    for (const receiver of this.#receivers) receiver.add(event);
  }

  /** What was not delivered is lost. */
  close(): void {
    for (const receiver of this.#receivers) receiver.close();
  }
}

class Receiver {
  dropped = 0;
  readonly #settings: WebhookSettings;
  readonly #options: WebhookOptions;
  readonly #secret: string | undefined;
  readonly #patterns: readonly RegExp[];
  readonly #queue: string[] = [];
  readonly #closing = new AbortController();
  #running = false;
  #droppedSince = 0;

  constructor(settings: WebhookSettings, options: WebhookOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#secret = settings.secretFile === undefined ? undefined : options.readSecret(settings.secretFile).trim();
    this.#patterns = (settings.repositories ?? ['**']).map(repositoryPattern);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  add(event: RegistryEvent): void {
    const { events = ['push', 'delete'] } = this.#settings;
    if (!events.includes(event.action) || !this.#patterns.some((one) => one.test(event.repository))) return;
    const { action, repository, digest, tag, mediaType, size, subject, from } = event;
    const body = {
      id: randomUUID(),
      timestamp: new Date().toISOString(),
      action,
      target: { mediaType, size, length: size, digest, repository, tag },
      request: { addr: from },
      actor: { name: subject },
    };
    this.#queue.push(JSON.stringify(body));
    if (this.#queue.length > MAX_WAITING) {
      this.#queue.shift();
      this.dropped++;
      this.#droppedSince++;
    }
    if (!this.#running) void this.#run();
  }

  close(): void {
    this.#closing.abort();
    this.#queue.length = 0;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#queue.length > 0) {
      const event = this.#queue[0]!;
      const delivered = await this.#deliver(event);
      if (this.#closing.signal.aborted) break;
      if (this.#queue[0] === event) this.#queue.shift();
      if (!delivered) this.dropped++;
    }
    this.#running = false;
  }

  async #deliver(event: string): Promise<boolean> {
    const { url } = this.#settings;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#send(event);
        return true;
      } catch (error) {
        if (this.#closing.signal.aborted) return false;
        if (attempt === ATTEMPTS) {
          this.#options.report(
            `webhook ${new URL(url).host}: an event is lost after ${ATTEMPTS} attempts: ${errorMessage(error)}`,
          );
          return false;
        }
      }
      const pause = (this.#options.firstDelayMs ?? FIRST_DELAY_MS) * 2 ** (attempt - 1);
      await sleep(pause, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
    }
  }

  async #send(event: string): Promise<void> {
    const { url, timeoutSeconds } = this.#settings;
    const dropped = this.#droppedSince;
    const body = `{"events":[${event}]}`;
    const signature =
      this.#secret === undefined ? undefined : createHmac('sha256', this.#secret).update(body).digest('hex');
    const response = await fetch(url, {
      method: 'POST',
      body,
      redirect: 'error',
      signal: AbortSignal.any([
        this.#closing.signal,
        AbortSignal.timeout(timeoutSeconds ? timeoutSeconds * 1000 : TIMEOUT_MS),
      ]),
      headers: {
        'content-type': CONTENT_TYPE,
        ...(signature !== undefined && { 'x-gantry-signature': `sha256=${signature}` }),
        ...(dropped > 0 && { 'x-gantry-dropped': String(dropped) }),
      },
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    this.#droppedSince -= dropped;
  }
}

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../base/errors.ts';
import { LOG_DRIVERS } from '../../logging/drivers.ts';
import type { LogDriver, LogMessage, LogSink } from '../../logging/log-sink.ts';
import { Messages } from '../../logging/messages.ts';
import { type LogPosition, logFiles } from '../../runtime/logs/log-files.ts';
import { readLines } from '../../runtime/logs/reader.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { ContainerContext } from './context.ts';
import { logSource } from './logs.ts';
import { taskLog } from './set-up.ts';

/** Messages that are made and sent before anybody else has a turn. */
const AT_ONCE = 200;
/** What they may take together: with each go the container's labels and variables that were asked for. */
const AT_ONCE_BYTES = 8 * 1024 * 1024;
/** How often the place that was reached is noted: so much may be sent twice after a kill -9. */
const NOTE_MS = 1000;
const LONGEST_LINE = 16 * 1024;
const LONGEST_PAUSE_MS = 30_000;
/** What a container that is removed still has to send gets so long. */
const LAST_MS = 10_000;

type Context = Pick<ContainerContext, 'config' | 'background' | 'closing'>;

const BEGINNING: LogPosition = { inode: 0n, offset: 0 };

/**
 * Sends what a container prints to its log server. It reads the record that the monitor keeps, with a cursor of its own on
 * the disk (`<log>.shipped`): a server that is slow or away stops no container, an engine that was killed goes on where it
 * was, and `logs` works all the same. Each line is sent at least once, for as long as the record keeps it.
 */
export class LogShipping {
  readonly #context: Context;
  readonly #path: string;
  readonly #driverName: string;
  readonly #driver: LogDriver;
  readonly #given = new AbortController();
  #position: LogPosition;
  #noted = 0;
  #ready: LogSink | undefined;
  #failing = false;
  /** Whose output is not all sent. */
  #runs = 0;
  /** Runs one after the other: a further run begins while the last one's lines are still on their way. */
  #work: Promise<void> = Promise.resolve();

  /** Undefined for drivers that keep what is printed on this host. */
  static of(context: Context, record: ContainerRecord): LogShipping | undefined {
    const name = record.hostConfig.LogConfig?.Type ?? '';
    const driver = LOG_DRIVERS.get(name);
    return driver && new LogShipping(context, record, name, driver);
  }

  private constructor(context: Context, record: ContainerRecord, driverName: string, driver: LogDriver) {
    this.#context = context;
    this.#path = taskLog(context, record).path;
    this.#driverName = driverName;
    this.#driver = driver;
    this.#position = notedPosition(this.#path);
  }

  /** Before a run. Throws `internal`, in Docker's words, when the server cannot be reached. */
  async connect(record: ContainerRecord): Promise<void> {
    try {
      this.#ready?.close();
      this.#ready = this.#open(record);
      await this.#ready.connect();
    } catch (error) {
      this.release();
      const why = `failed to create task for container: failed to initialize logging driver: ${(error as Error).message}`;
      throw new EngineError('internal', why, { cause: error });
    }
  }

  /** There will be no run for the connection that was made. */
  release(): void {
    this.#ready?.close();
    this.#ready = undefined;
  }

  /** Sends what is there, and what comes until `ended`. */
  follow(record: ContainerRecord, ended: Promise<unknown> = Promise.resolve()): void {
    let sink = this.#ready;
    this.#ready = undefined;
    if (this.#runs > 0) {
      // its turn comes when the last run's lines are sent, which may be never: no connection waits for that
      sink?.close();
      sink = undefined;
    }
    this.#runs++;
    this.#work = this.#context.background.run(
      `container ${record.name}: its output to ${this.#driverName}`,
      ((before) => async () => {
        await before;
        try {
          await this.#ship(record, sink ?? this.#open(record), ended);
        } finally {
          this.#runs--;
        }
      })(this.#work),
    );
  }

  /** For a container that goes: resolves when all is sent, or its time is over. */
  async finish(): Promise<void> {
    const timer = setTimeout(() => this.#given.abort(), LAST_MS);
    await this.#work;
    clearTimeout(timer);
  }

  #open(record: ContainerRecord): LogSink {
    return this.#driver.open(new Map(Object.entries(record.hostConfig.LogConfig?.Config ?? {})), logSource(record));
  }

  async #ship(record: ContainerRecord, sink: LogSink, ended: Promise<unknown>): Promise<void> {
    const signal = AbortSignal.any([this.#context.closing, this.#given.signal]);
    const close = (): void => sink.close();
    signal.addEventListener('abort', close, { once: true });
    const messages = new Messages();
    const atOnce = messagesAtOnce(record);
    let read = this.#position;
    try {
      for await (const { lines, next } of readLines({ path: this.#path, from: this.#position, ended, signal })) {
        for (let at = 0; at < lines.length; at += atOnce) {
          const made = lines.slice(at, at + atOnce).flatMap((line) => messages.take(line));
          if (made.length > 0) await this.#deliver(record, sink, made, signal);
          if (signal.aborted) return;
        }
        read = next;
        // what is only half sent is read again, from where its line begins
        if (!messages.pending) this.#reached(next);
      }
      const rest = messages.rest();
      if (rest.length > 0 && !signal.aborted) await this.#deliver(record, sink, rest, signal);
      if (!signal.aborted) this.#position = read;
    } finally {
      signal.removeEventListener('abort', close);
      sink.close();
      this.#note();
    }
  }

  async #deliver(record: ContainerRecord, sink: LogSink, made: LogMessage[], signal: AbortSignal): Promise<void> {
    const { waitMs, most = Infinity } = sink.retry;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await sink.send(made);
        if (this.#failing) this.#report(record, 'its log server is reached again');
        this.#failing = false;
        return;
      } catch (error) {
        if (signal.aborted) return;
        const why = (error as Error).message;
        if (failures >= most) {
          this.#report(record, `${made.length} lines of its output are given up after ${failures} tries: ${why}`);
          return;
        }
        if (!this.#failing) this.#report(record, `its output waits on this host for its log server: ${why}`);
        this.#failing = true;
      }
      await sleep(Math.min(waitMs * 2 ** Math.min(failures, 16), LONGEST_PAUSE_MS), undefined, { signal }).catch(
        () => undefined,
      );
    }
  }

  #report(record: ContainerRecord, what: string): void {
    this.#context.config.report(`container ${record.name}: ${what} (log driver ${this.#driverName})`);
  }

  #reached(position: LogPosition): void {
    this.#position = position;
    if (performance.now() - this.#noted > NOTE_MS) this.#note();
  }

  /** Not synced: what was sent twice after a power cut is no loss. */
  #note(): void {
    this.#noted = performance.now();
    const { inode, offset } = this.#position;
    try {
      writeFileSync(`${this.#path}.shipped.new`, `${inode} ${offset}`, { mode: 0o600 });
      renameSync(`${this.#path}.shipped.new`, `${this.#path}.shipped`);
    } catch {
      // a full disk, or the container is gone: sent twice rather than not at all
    }
  }
}

function messagesAtOnce(record: ContainerRecord): number {
  const { labels, env, command } = logSource(record);
  const each = LONGEST_LINE + JSON.stringify([labels, env, command]).length;
  return Math.max(1, Math.min(AT_ONCE, Math.floor(AT_ONCE_BYTES / each)));
}

/** The beginning where nothing is noted, or what is noted is not of this record. */
function notedPosition(path: string): LogPosition {
  let text: string;
  try {
    text = readFileSync(`${path}.shipped`, 'latin1');
  } catch {
    return BEGINNING;
  }
  const match = /^(\d{1,20}) (\d{1,15})$/.exec(text);
  if (!match) return BEGINNING;
  const position = { inode: BigInt(match[1]!), offset: Number(match[2]) };
  const file = logFiles(path).find(({ inode }) => inode === position.inode);
  return file && file.size >= position.offset ? position : BEGINNING;
}

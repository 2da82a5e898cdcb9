import type { Duplex } from 'node:stream';
import type { BuildDirectoryDocument, BuildDocument, BuildMessage, BuildQuestion } from '../api/gantry.ts';
import { EngineError, errorMessage } from '../base/errors.ts';
import type { BuildSession, ClientDirectorySource, FailedStep, StepShell, TerminalSize } from '../engine/engine.ts';
import type { Exchange } from './exchange.ts';
import { terminalSize } from './terminal-size.ts';
import { endWithMessage, joinSession, RAW_STREAM } from './hijack.ts';

/** As BuildKit: what is larger is no secret. */
const MAX_SECRET = 500 << 10;

/** The builds whose clients can be asked, by their tokens. */
export class BuildDoor {
  readonly #builds = new Map<string, AskedClient>();

  /** Throws `conflict` when the token is taken. */
  open(document: BuildDocument, send: (message: BuildMessage) => void, signal: AbortSignal): AskedClient {
    const { Token } = document;
    if (this.#builds.has(Token)) throw new EngineError('conflict', 'a build with this token runs already');
    const client = new AskedClient(document, send, signal, () => this.#builds.delete(Token));
    this.#builds.set(Token, client);
    return client;
  }

  /** Passes an answer on; resolves when it has been read. Throws `not-found`. */
  answer(token: string, id: number, exchange: Exchange): Promise<void> {
    const client = this.#builds.get(token);
    if (!client) throw new EngineError('not-found', 'No such build');
    return client.answer(id, exchange);
  }

  /** Of a shell that a question led to. Throws `not-found`. */
  async resize(token: string, id: number, size: TerminalSize): Promise<void> {
    const shell = this.#builds.get(token)?.shells.get(id);
    if (!shell) throw new EngineError('not-found', 'No such shell');
    await shell.resize(size);
  }
}

interface Question {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

interface Answer {
  /** Of the question. */
  readonly id: number;
  readonly exchange: Exchange;
  /** To be called when it has been read. */
  readonly done: () => void;
}

/** A client of a build, asked by lines in the build's own answer and answering by requests of its own. */
export class AskedClient implements BuildSession, Disposable {
  readonly #document: BuildDocument;
  readonly #send: (message: BuildMessage) => void;
  readonly #signal: AbortSignal;
  readonly #onClose: () => void;
  readonly #questions = new Map<number, Question>();
  /** Open ones, by the questions that led to them. */
  readonly shells = new Map<number, StepShell>();
  #next = 1;

  constructor(
    document: BuildDocument,
    send: (message: BuildMessage) => void,
    signal: AbortSignal,
    onClose: () => void,
  ) {
    this.#document = document;
    this.#send = send;
    this.#signal = signal;
    this.#onClose = onClose;
  }

  async secret(id: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#document.Secrets?.includes(id) !== true) return undefined;
    const answer = await this.#ask({ Kind: 'secret', Name: id }, signal);
    if (!answer) return undefined;
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of this.#body(answer)) {
      size += part.byteLength;
      if (size > MAX_SECRET) throw new EngineError('too-large', `the secret ${id} is larger than ${MAX_SECRET} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  async sshAgent(id: string, signal: AbortSignal): Promise<Duplex | undefined> {
    if (this.#document.Ssh?.includes(id) !== true) return undefined;
    const answer = await this.#ask({ Kind: 'ssh', Name: id }, signal);
    if (!answer) return undefined;
    const { socket, head } = await answer.exchange.hijack(RAW_STREAM);
    socket.once('close', answer.done);
    if (head.length > 0) socket.unshift(head);
    return socket;
  }

  async shell(step: FailedStep): Promise<void> {
    const answer = await this.#ask({ Kind: 'shell', Name: step.message }, this.#signal);
    if (!answer) return;
    const { exchange, done, id } = answer;
    try {
      const size = terminalSize(exchange.query);
      const connection = await exchange.hijack(RAW_STREAM);
      const shell = await step.enter(size).catch(async (error: unknown) => {
        await endWithMessage(connection.socket, errorMessage(error), false);
      });
      if (!shell) return;
      this.shells.set(id, shell);
      await joinSession(connection, shell, { multiplexed: false, stdin: true, signal: this.#signal });
    } finally {
      this.shells.delete(id);
      done();
    }
  }

  directory(name: string): ClientDirectorySource | undefined {
    const found = this.#document.Directories?.find((directory) => directory.Name === name);
    return found && this.#source(found);
  }

  /** Gives the answer to a question that was asked; resolves when it has been read. */
  async answer(id: number, exchange: Exchange): Promise<void> {
    const question = this.#questions.get(id);
    if (!question) throw new EngineError('not-found', `No such question: ${id}`);
    this.#questions.delete(id);
    const { promise, resolve } = Promise.withResolvers<void>();
    question.resolve({ id, exchange, done: resolve });
    await promise;
  }

  [Symbol.dispose](): void {
    for (const { reject } of this.#questions.values()) reject(new EngineError('cancelled', 'the build is over'));
    this.#questions.clear();
    this.#onClose();
  }

  async layoutFile(store: string, path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined> {
    if (this.#document.Layouts?.includes(store) !== true) return undefined;
    const answer = await this.#ask({ Kind: 'file', Name: store, Path: path }, signal);
    return answer && this.#body(answer);
  }

  archive(): AsyncIterable<Uint8Array> | undefined {
    if (this.#document.Archive !== true) return undefined;
    return this.#stream({ Kind: 'archive', Name: 'context' }, this.#signal);
  }

  #source({ Name, Key, Label, Tree }: BuildDirectoryDocument): ClientDirectorySource {
    return {
      key: Key,
      name: Label,
      tree: Tree,
      parallel: true,
      manifest: (signal) => this.#stream({ Kind: 'manifest', Name }, signal),
      content: (Needed, signal) => this.#stream({ Kind: 'content', Name, Needed }, signal),
    };
  }

  async *#stream(question: Omit<BuildQuestion, 'Id'>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const answer = await this.#ask(question, signal ?? this.#signal);
    if (!answer)
      throw new EngineError('not-found', `the client has no directory ${JSON.stringify(question.Name)} any more`);
    yield* this.#body(answer);
  }

  /** The answer's bytes; what comes after the reader has enough is not waited for. */
  async *#body({ exchange, done }: Answer): AsyncGenerator<Uint8Array> {
    let whole = false;
    try {
      yield* exchange.upload();
      whole = true;
    } finally {
      if (whole) exchange.empty(200);
      else exchange.abort();
      done();
    }
  }

  /** Undefined when the client has nothing of that name. */
  async #ask(question: Omit<BuildQuestion, 'Id'>, signal: AbortSignal): Promise<Answer | undefined> {
    signal.throwIfAborted();
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const abort = (): void => reject(signal.reason);
    this.#questions.set(id, { resolve, reject });
    signal.addEventListener('abort', abort, { once: true });
    this.#send({ ask: { Id: id, ...question } });
    try {
      const answer = await promise;
      if (!answer.exchange.query.flag('absent')) return answer;
      for await (const _ of answer.exchange.upload());
      answer.exchange.empty(200);
      answer.done();
      return undefined;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#questions.delete(id);
    }
  }
}

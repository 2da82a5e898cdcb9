import type { Duplex } from 'node:stream';
import { buildAnswerPath, type BuildQuestion } from '../api/gantry.ts';
import type { HijackedStream, Requester } from './requester.ts';
import { ResponseError } from './response-error.ts';

/** What a client knows that its build may ask for. Undefined where it has nothing of that name. */
export interface BuildAnswers {
  secret(name: string): Promise<Uint8Array | undefined>;
  /** A new connection to an ssh agent. */
  sshAgent(name: string): Promise<Duplex | undefined>;
  /**
   * Joins a terminal to a step that failed: `message` says why it did, `open` gives the connection once the terminal's size
   * is known, `resize` tells of another. Absent: nobody looks at what failed.
   */
  readonly shell?: (
    message: string,
    open: (size: { rows: number; columns: number }) => Promise<HijackedStream>,
    resize: (size: { rows: number; columns: number }) => Promise<void>,
  ) => Promise<void>;
  /** All entries of a directory (`BuildDirectoryDocument`): a JSON list of `[path, mode, size, mtime, stamp, link?]`. */
  manifest(name: string): AsyncIterable<Uint8Array> | Uint8Array | undefined;
  /** A file of an OCI layout, by its path in it. */
  file(name: string, path: string): AsyncIterable<Uint8Array> | undefined;
  /** The context as a tar. */
  archive(): AsyncIterable<Uint8Array> | undefined;
  /** Files by their index in it, in frames of `index (u32) size (u64) content changed (u8)`; size all ones: it is gone. */
  content(name: string, needed: readonly number[]): AsyncIterable<Uint8Array> | undefined;
}

/** Answers one question. A build that is over meanwhile wants no answer: that is no error. */
export async function answerBuild(
  requester: Requester,
  {
    token,
    question,
    answers,
    signal,
  }: {
    readonly token: string;
    readonly question: BuildQuestion;
    readonly answers: BuildAnswers;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const path = buildAnswerPath(token, question.Id);
  try {
    if (question.Kind === 'ssh') {
      const agent = await answers.sshAgent(question.Name);
      if (agent) return await join(agent, await requester.hijack(path, { signal }));
      await requester.call('POST', path, { query: { absent: true }, signal });
      return;
    }
    if (question.Kind === 'shell' && answers.shell) {
      return await answers.shell(
        question.Name,
        ({ rows, columns }) => requester.hijack(path, { query: { h: rows, w: columns }, signal }),
        async ({ rows, columns }) =>
          void (await requester.call('POST', `${path}/resize`, { query: { h: rows, w: columns } })),
      );
    }
    const body = await bodyOf(question, answers);
    await requester.call('POST', path, {
      ...(body === undefined ? { query: { absent: true } } : { body }),
      headers: { 'Content-Type': 'application/octet-stream' },
      signal,
    });
  } catch (error) {
    if (error instanceof ResponseError && error.status === 404) return;
    throw error;
  }
}

async function bodyOf(
  { Kind, Name, Needed, Path }: BuildQuestion,
  answers: BuildAnswers,
): Promise<Uint8Array | AsyncIterable<Uint8Array> | undefined> {
  switch (Kind) {
    case 'secret':
      return answers.secret(Name);
    case 'manifest':
      return answers.manifest(Name);
    case 'content':
      return answers.content(Name, Needed ?? []);
    case 'file':
      return answers.file(Name, Path ?? '');
    case 'archive':
      return answers.archive();
    case 'ssh':
    case 'shell':
      return undefined;
  }
}

/** Both ways until one side is done. */
async function join(agent: Duplex, stream: Awaited<ReturnType<Requester['hijack']>>): Promise<void> {
  const end = (): void => {
    agent.destroy();
    stream.close();
  };
  agent.on('error', end);
  agent.on('data', (data: Buffer) => stream.write(data));
  agent.on('end', () => stream.endInput());
  stream.socket.on('error', end);
  stream.socket.on('close', end);
  try {
    for await (const data of stream.output) agent.write(data);
  } finally {
    end();
  }
}

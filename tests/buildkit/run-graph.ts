import { randomUUID } from 'node:crypto';
import { Control } from '../../src/buildkit/protocol/control_pb.ts';
import type { Definition } from '../../src/buildkit/protocol/ops_pb.ts';
import { textOf } from '../../src/base/byte-string.ts';
import { readTar } from '../../src/content/tar/reader.ts';
import { controlClient, openSession, type SessionServices } from './protocol-client.ts';

export interface GraphCase extends SessionServices {
  readonly name: string;
  readonly definition: () => Definition;
  readonly entitlements?: readonly string[];
  /** Paths that the result is looked at for; all of it without. */
  readonly below?: string;
}

/** What an engine made of it: the files of the result, or how it failed. */
export interface GraphResult {
  readonly files?: readonly string[];
  readonly error?: string;
}

/** Sends a definition and takes its result as a tar. */
export async function runGraph(socketPath: string, one: GraphCase): Promise<GraphResult> {
  let archive: Buffer | undefined;
  const session = await openSession(socketPath, { ...one, onOutput: (bytes) => (archive = bytes) });
  const client = await controlClient(socketPath);
  try {
    await client.unary(Control, 'solve', {
      Ref: randomUUID(),
      Session: session.id,
      Definition: one.definition(),
      Exporters: [{ Type: 'tar', Attrs: {} }],
      ExporterDeprecated: 'tar',
      Entitlements: [...(one.entitlements ?? [])],
    });
    return { files: await listing(archive ?? Buffer.alloc(0), one.below ?? '') };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  } finally {
    client.close();
    session.close();
  }
}

async function* bytesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function listing(archive: Buffer, below: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { header, body } of readTar(bytesOf(archive))) {
    const name = textOf(header.name)
      .replace(/^\.?\//, '')
      .replace(/\/$/, '');
    const chunks: Buffer[] = [];
    if (header.type === 'file') for await (const chunk of body) chunks.push(Buffer.from(chunk));
    if (name === '' || !(name === below || below === '' || name.startsWith(`${below}/`))) continue;
    const content = Buffer.concat(chunks).toString();
    const about = header.type === 'symlink' ? `-> ${textOf(header.linkName)}` : JSON.stringify(content.slice(0, 200));
    const mode = (header.mode & 0o7777).toString(8);
    lines.push(
      `${name} ${header.type} ${mode} ${header.uid}:${header.gid} ${header.type === 'directory' ? '' : about}`.trim(),
    );
  }
  return lines.sort();
}

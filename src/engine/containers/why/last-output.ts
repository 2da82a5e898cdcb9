import { logIsReadable } from '../../../runtime/spec/validate-log.ts';
import type { ContainerRecord } from '../../../state/containers.ts';
import type { ContainerContext } from '../context.ts';
import { readOutput } from '../logs.ts';

const OUTPUT_LINES = 10;
const LINE_LENGTH = 400;

/** What the log holds at its end; nothing when it cannot be read. */
export async function lastOutput(context: ContainerContext, record: ContainerRecord): Promise<string[]> {
  if (!logIsReadable(record.hostConfig.LogConfig)) return [];
  let text = '';
  try {
    const options = { stdout: true, stderr: true, tail: OUTPUT_LINES };
    for await (const { data } of readOutput(context, record, options)) {
      text = (text + Buffer.from(data).toString('utf8')).slice(-OUTPUT_LINES * LINE_LENGTH * 4);
    }
  } catch {
    return [];
  }
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(-OUTPUT_LINES)
    .map((line) => (line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH)}…` : line));
}

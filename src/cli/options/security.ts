import fs from 'node:fs';
import { fileComplaint } from './environment.ts';

export interface SecurityOptions {
  readonly options: string[];
  /** `systempaths=unconfined`: nothing under /proc and /sys is hidden. */
  readonly unconfinedPaths: boolean;
}

/** `--security-opt`: checked, and a seccomp profile replaced by the text of its file, since the engine may be elsewhere. */
export function parseSecurityOptions(given: readonly string[]): SecurityOptions {
  const options: string[] = [];
  let unconfinedPaths = false;
  for (const option of given) {
    if (option === 'systempaths=unconfined') {
      unconfinedPaths = true;
      continue;
    }
    const match = /^([^=:]+)[=:](.*)$/s.exec(option);
    if (!match && option !== 'no-new-privileges' && option !== 'hardened')
      throw new Error(`Invalid --security-opt: ${JSON.stringify(option)}`);
    if (match?.[1] === 'seccomp' && !['unconfined', 'builtin'].includes(match[2]!)) {
      options.push(`seccomp=${readProfile(match[2]!)}`);
      continue;
    }
    options.push(option);
  }
  return { options, unconfinedPaths };
}

function readProfile(file: string): string {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`opening seccomp profile (${file}) failed: open ${file}: ${fileComplaint(error)}`, {
      cause: error,
    });
  }
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (error) {
    throw new Error(`compacting json for seccomp profile (${file}) failed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

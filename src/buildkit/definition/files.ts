import { parseMode } from '../../build/file-mode.ts';
import type { CopyChange, FileAction, FileChange, FileOwner } from '../../engine/builder/graph/graph.ts';
import type { ChownOpt, FileActionCopy, FileOp, UserOpt } from '../protocol/ops_pb.ts';
import { malformed, unsupported } from './unsupported.ts';

/** Reads changes of files. Throws UNIMPLEMENTED, INVALID_ARGUMENT. */
export function readFileActions(op: FileOp, inputs: number): FileAction[] {
  if (op.actions.length === 0) throw malformed('FileOp', 'it has no actions');
  const actions = op.actions.map((action, index): FileAction => {
    const known = inputs + index;
    return {
      input: inputOf(action.input, known),
      output: outputOf(action.output),
      change: readChange(action, known),
    };
  });
  const outputs = actions.map(({ output }) => output).filter((output) => output !== undefined);
  if (outputs.length === 0) throw malformed('FileOp', 'it has no output');
  if (new Set(outputs).size !== outputs.length) throw malformed('FileOp', 'two actions have the same output');
  return actions;
}

function readChange({ action, secondaryInput }: FileOp['actions'][number], known: number): FileChange {
  switch (action.case) {
    case 'copy':
      return readCopy(action.value, inputOf(secondaryInput, known), known);
    case 'mkfile': {
      const { path, mode, data, owner, timestamp } = action.value;
      return {
        kind: 'file',
        path: pathOf(path),
        mode: mode & 0o777,
        data,
        owner: ownerOf(owner, known),
        time: timeOf(timestamp),
      };
    }
    case 'mkdir': {
      const { path, mode, makeParents, owner, timestamp } = action.value;
      return {
        kind: 'directory',
        path: pathOf(path),
        mode: mode & 0o777,
        parents: makeParents,
        owner: ownerOf(owner, known),
        time: timeOf(timestamp),
      };
    }
    case 'symlink': {
      const { oldpath, newpath, owner, timestamp } = action.value;
      if (oldpath === '') throw malformed('FileOp', 'a symlink leads nowhere');
      return {
        kind: 'symlink',
        path: pathOf(newpath),
        target: oldpath,
        owner: ownerOf(owner, known),
        time: timeOf(timestamp),
      };
    }
    case 'rm': {
      const { path, allowNotFound, allowWildcard } = action.value;
      return { kind: 'remove', path: pathOf(path), allowMissing: allowNotFound, wildcard: allowWildcard };
    }
    default:
      throw unsupported('FileOp', 'an action of another kind than copy, mkfile, mkdir, symlink and rm');
  }
}

function readCopy(copy: FileActionCopy, from: number, known: number): CopyChange {
  return {
    kind: 'copy',
    from,
    source: copy.src === '' ? '/' : copy.src,
    destination: copy.dest === '' ? '/' : copy.dest,
    mode: copy.modeStr !== '' ? parseMode(copy.modeStr) : copy.mode < 0 ? undefined : copy.mode & 0o7777,
    owner: ownerOf(copy.owner, known),
    time: timeOf(copy.timestamp),
    followLinks: copy.followSymlink,
    contents: copy.dirCopyContents,
    unpack: copy.attemptUnpackDockerCompatibility,
    makeParents: copy.createDestPath,
    wildcard: copy.allowWildcard,
    allowNothing: copy.allowEmptyWildcard,
    replace: copy.alwaysReplaceExistingDestPaths,
    required: copy.requiredPaths,
    include: copy.includePatterns,
    exclude: copy.excludePatterns,
  };
}

function ownerOf(owner: ChownOpt | undefined, known: number): FileOwner | undefined {
  if (!owner || (!owner.user && !owner.group)) return undefined;
  const read = (one: UserOpt | undefined): { readonly name: string | undefined; readonly input: number } => {
    const { user } = one ?? {};
    if (user?.case === 'byID') return { name: String(user.value), input: -1 };
    if (user?.case !== 'byName') return { name: undefined, input: -1 };
    return { name: user.value.name, input: inputOf(user.value.input, known) };
  };
  const user = read(owner.user);
  const group = read(owner.group);
  return { user: user.name, userInput: user.input, group: group.name, groupInput: group.input };
}

function pathOf(path: string): string {
  if (path === '' || path.includes('\0')) throw malformed('FileOp', `the path ${JSON.stringify(path)}`);
  return path.startsWith('/') ? path : `/${path}`;
}

function timeOf(timestamp: bigint): bigint | undefined {
  return timestamp < 0n ? undefined : timestamp;
}

/** Inputs of the operation and actions in front of this one. */
function inputOf(input: bigint, known: number): number {
  if (input < -1n || input >= BigInt(known)) throw malformed('FileOp', `an action names input ${input}`);
  return Number(input);
}

function outputOf(output: bigint): number | undefined {
  if (output > 1000n) throw malformed('FileOp', `output ${output}`);
  return output < 0n ? undefined : Number(output);
}

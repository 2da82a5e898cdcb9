import type { ContainerFact, Finding } from '../../../api/why.ts';
import type { RunState } from '../../../state/containers.ts';
import { authorName, bytes, signalName, span } from './words.ts';

const SIGKILL = 9;

/** What is known of the end of a run. */
export interface Ending {
  readonly state: RunState;
  /** Since the run began, the end included. */
  readonly facts: readonly ContainerFact[];
  /** Bytes that the container may have; 0 is no limit. */
  readonly memory: number;
}

/** Why a run ended. */
export function endingFinding(ending: Ending): Finding {
  const { state, facts, memory } = ending;
  const end = facts.findLast(({ Kind }) => Kind === 'ended');
  const signals = facts.filter(({ Kind, Signal }) => Kind === 'signal' && Signal !== undefined);
  const { exitCode } = state;
  const unseen = end?.Unseen ? ' while no engine ran' : '';
  if (end?.Error !== undefined) return lost(end.Error);
  if (state.oomKilled) return outOfMemory(exitCode, memory, unseen);
  const last = signals.at(-1);
  if (last && answers(exitCode, last.Signal!)) return signalled(last, signals, exitCode);
  if (exitCode > 128) return fatalSignal(exitCode - 128, unseen);
  const code = `exited with code ${exitCode}${unseen}`;
  if (last) {
    return {
      Kind: 'stopped',
      Text: `it ${code} after ${signalName(last.Signal!)}, which ${authorName(last.By)} sent to ${purpose(last)}`,
    };
  }
  if (exitCode === 0) {
    return {
      Kind: 'finished',
      Text: `its main process ended by itself, without an error (code 0)${unseen}`,
      Hint: 'a container lives as long as its main process: one that shall go on must stay in the foreground',
    };
  }
  return { Kind: 'failed', Text: `its main process ${code}, by itself${meaning(exitCode)}` };
}

function lost(error: string): Finding {
  if (error.includes('host was restarted')) {
    return {
      Kind: 'host-restarted',
      Text: 'it ran when the host was restarted or lost power',
      Hint: 'with --restart unless-stopped it would come back',
    };
  }
  return {
    Kind: 'lost',
    Text: `its run was lost: ${error}`,
    Hint: 'somebody killed the process that watches over it, or the host ran out of memory (dmesg)',
  };
}

function outOfMemory(exitCode: number, memory: number, unseen: string): Finding {
  const limit = memory > 0 ? `its limit of ${bytes(memory)}` : 'what the host had left';
  return {
    Kind: 'oom-killed',
    Text: `the kernel killed a process of it, for it used more memory than ${limit}; it exited with code ${exitCode}${unseen}`,
    Hint:
      memory > 0
        ? 'give it more (gantry update --memory), or let the program use less'
        : 'set --memory, so that one container cannot take all',
  };
}

/** Whether a run that exits so can have been ended by the signal. */
function answers(exitCode: number, signal: number): boolean {
  return exitCode === 128 + signal || signal === SIGKILL;
}

function signalled(last: ContainerFact, signals: readonly ContainerFact[], exitCode: number): Finding {
  const first = signals.find(({ What, By }) => What === last.What && By?.Request === last.By?.Request) ?? last;
  const who = authorName(last.By);
  if (last.TimedOut && first !== last) {
    const waited = Date.parse(last.At) - Date.parse(first.At);
    return {
      Kind: 'stop-timed-out',
      Text: `${who} asked it to ${purpose(last)}; it did not end within ${span(waited)} of ${signalName(first.Signal!)} and was killed (code ${exitCode})`,
      Hint: 'its first process does not handle the signal: exec it in the entrypoint script, use --init, or set STOPSIGNAL or a longer stop time-out',
    };
  }
  if (last.By?.Kind === 'engine' && last.By.Reason === 'health check') {
    return {
      Kind: 'unhealthy-restart',
      Text: `it was ended because its health check failed, as its label asks for (code ${exitCode})`,
    };
  }
  return {
    Kind: last.What === 'kill' ? 'killed' : 'stopped',
    Text: `${who} ${last.What === 'kill' ? `killed it with ${signalName(last.Signal!)}` : `asked it to ${purpose(last)}`} (code ${exitCode})`,
  };
}

function purpose({ What }: ContainerFact): string {
  return What === 'rm' ? 'be removed' : What === 'restart' ? 'restart' : What === 'kill' ? 'kill it' : 'stop';
}

/** By no signal that went through the engine. */
function fatalSignal(signal: number, unseen: string): Finding {
  const name = signalName(signal);
  const hints: Readonly<Record<string, string>> = {
    SIGKILL: 'nobody asked the engine for that: kill -9 on the host or inside, or the host ran out of memory (dmesg)',
    SIGSEGV: 'the program crashed: a bug in it, or a library or CPU feature that is not there',
    SIGABRT: 'the program gave up by itself (abort): its output says why',
    SIGILL: 'the program uses instructions that this CPU does not have',
    SIGSYS: 'a system call was forbidden: look at the seccomp profile (--security-opt seccomp=…)',
    SIGTERM: 'nobody asked the engine for that: kill on the host or inside',
  };
  return {
    Kind: 'signalled',
    Text: `it exited with code ${128 + signal}${unseen}: ${name}, which did not come through the engine`,
    ...(hints[name] !== undefined && { Hint: hints[name] }),
  };
}

function meaning(exitCode: number): string {
  if (exitCode === 126) return ' (a shell found the command and could not run it)';
  if (exitCode === 127) return ' (a shell did not find the command)';
  if (exitCode === 128) return ' (an invalid exit code)';
  return '';
}

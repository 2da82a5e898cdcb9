import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { call, filters, get, logStream, type LogPart } from './api.ts';
import { age, shortId, size } from './format.ts';
import { useLoaded } from './live.ts';
import { Action, Problem, Search, Table, Tabs } from './parts.tsx';
import { Terminal } from './terminal.tsx';

export interface Summary {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly ImageID: string;
  readonly Command: string;
  readonly Created: number;
  readonly State: string;
  readonly Status: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Ports: readonly {
    readonly IP?: string;
    readonly PrivatePort: number;
    readonly PublicPort?: number;
    readonly Type: string;
  }[];
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string; readonly NetworkID: string }>>;
  };
}

export interface Usage {
  readonly cpu: number;
  readonly memory: number;
  readonly limit: number;
}

/** Rows that are drawn at once: more are reached by searching, or asked for. */
const PAGE = 100;

export function nameOf(container: Pick<Summary, 'Id' | 'Names'>): string {
  return container.Names[0]?.slice(1) ?? shortId(container.Id);
}

export function ports(container: Summary): string {
  const published = container.Ports.filter(({ PublicPort }) => PublicPort !== undefined);
  const texts = published.map(
    ({ IP, PublicPort, PrivatePort, Type }) =>
      `${IP?.includes(':') ? `[${IP}]` : IP}:${PublicPort}→${PrivatePort}/${Type}`,
  );
  return [...new Set(texts)].join(' ');
}

export function State({ container }: { container: Pick<Summary, 'State' | 'Status'> }): JSX.Element {
  const unhealthy = container.Status.includes('unhealthy');
  const kind =
    container.State === 'running' ? (unhealthy ? 'bad' : 'good') : container.State === 'exited' ? 'soft' : 'warn';
  return <span class={`tag ${kind}`}>{unhealthy ? 'unhealthy' : container.State}</span>;
}

export function Containers(): JSX.Element {
  const { value, error } = useLoaded(() => get<Summary[]>('/containers/json?all=1'), ['container', 'network']);
  const [text, setText] = useState('');
  const [only, setOnly] = useState('all');
  const [most, setMost] = useState(PAGE);
  const [failure, fail] = useState('');
  const found = useMemo(
    () =>
      (value ?? [])
        .filter(({ State: state }) => only === 'all' || (only === 'running') === (state === 'running'))
        .filter((one) => `${nameOf(one)} ${one.Image} ${one.Id}`.includes(text.trim())),
    [value, text, only],
  );
  const shown = found.slice(0, most);
  const usage = useUsage(shown.filter(({ State: state }) => state === 'running').map(({ Id }) => Id));
  return (
    <>
      <h1>Containers</h1>
      <Problem text={failure || error} />
      <div class="bar">
        <Search value={text} set={setText} label="Name, image or id" />
        <select aria-label="State" value={only} onChange={(event) => setOnly(event.currentTarget.value)}>
          <option value="all">all states</option>
          <option value="running">running</option>
          <option value="stopped">not running</option>
        </select>
        <span class="soft">
          {found.length} of {value?.length ?? 0}
        </span>
      </div>
      <Table cards head={['Name', 'State', 'Image', 'Ports', ['CPU', 'number'], ['Memory', 'number'], '']}>
        {shown.map((one) => (
          <tr key={one.Id}>
            <td>
              <a href={`#/containers/${one.Id}`}>{nameOf(one)}</a>
              <div class="soft">{one.Status}</div>
            </td>
            <td>
              <State container={one} />
            </td>
            <td class="mono">{one.Image}</td>
            <td class="mono">{ports(one)}</td>
            <td class="number" data-label="CPU">
              {usage.get(one.Id) ? `${usage.get(one.Id)!.cpu.toFixed(1)} %` : ''}
            </td>
            <td class="number" data-label="Memory">
              {usage.get(one.Id) ? size(usage.get(one.Id)!.memory) : ''}
            </td>
            <td>
              <Buttons container={one} fail={fail} />
            </td>
          </tr>
        ))}
      </Table>
      {found.length > most && (
        <p>
          <button type="button" onClick={() => setMost(most + 400)}>
            Show more
          </button>
        </p>
      )}
    </>
  );
}

export function Buttons({ container, fail }: { container: Summary; fail: (words: string) => void }): JSX.Element {
  const post = (verb: string) => () => call('POST', `/containers/${container.Id}/${verb}`);
  const running = container.State === 'running';
  return (
    <div class="buttons">
      {container.State === 'paused' && <Action label="Go on" run={post('unpause')} fail={fail} />}
      {running && <Action label="Stop" run={post('stop')} fail={fail} />}
      {running && <Action label="Restart" run={post('restart')} fail={fail} />}
      {!running && container.State !== 'paused' && <Action label="Start" run={post('start')} fail={fail} />}
      {!running && (
        <Action
          label="Remove"
          kind="bad"
          confirm={`Remove ${nameOf(container)} and what it wrote?`}
          run={() => call('DELETE', `/containers/${container.Id}`)}
          fail={fail}
        />
      )}
    </div>
  );
}

interface StatsDocument {
  readonly cpu_stats: {
    readonly cpu_usage: { readonly total_usage: number };
    readonly system_cpu_usage?: number;
    readonly online_cpus?: number;
  };
  readonly memory_stats: { readonly usage?: number; readonly limit?: number; readonly stats?: Record<string, number> };
}

/** What running containers use, asked for once in three seconds, those that are shown only. */
export function useUsage(ids: readonly string[]): ReadonlyMap<string, Usage> {
  const [usage, setUsage] = useState<ReadonlyMap<string, Usage>>(new Map());
  const before = useRef(new Map<string, StatsDocument>());
  const key = ids.slice(0, PAGE).join(' ');
  useEffect(() => {
    const ended = new AbortController();
    const ask = async (): Promise<void> => {
      const wanted = key === '' ? [] : key.split(' ');
      const next = new Map<string, Usage>();
      for (let at = 0; at < wanted.length && !ended.signal.aborted; at += 4) {
        await Promise.all(
          wanted.slice(at, at + 4).map(async (id) => {
            try {
              const stats = await get<StatsDocument>(`/containers/${id}/stats?stream=0&one-shot=1`);
              next.set(id, used(stats, before.current.get(id)));
              before.current.set(id, stats);
            } catch {
              // it ended meanwhile
            }
          }),
        );
      }
      if (!ended.signal.aborted) setUsage(next);
    };
    const loop = async (): Promise<void> => {
      while (!ended.signal.aborted) {
        if (!document.hidden) await ask();
        await new Promise((resolve) => setTimeout(resolve, 3000));
      }
    };
    void loop();
    return () => ended.abort();
  }, [key]);
  return usage;
}

function used(now: StatsDocument, before: StatsDocument | undefined): Usage {
  const { usage = 0, limit = 0, stats } = now.memory_stats;
  const cache = stats?.['total_inactive_file'] ?? stats?.['inactive_file'] ?? 0;
  const busy =
    now.cpu_stats.cpu_usage.total_usage -
    (before?.cpu_stats.cpu_usage.total_usage ?? now.cpu_stats.cpu_usage.total_usage);
  const passed = (now.cpu_stats.system_cpu_usage ?? 0) - (before?.cpu_stats.system_cpu_usage ?? 0);
  const cpu = before && passed > 0 ? (busy / passed) * (now.cpu_stats.online_cpus ?? 1) * 100 : 0;
  return { cpu, memory: Math.max(0, usage - cache), limit };
}

interface Inspect {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Path: string;
  readonly Args: readonly string[];
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly Pid: number;
    readonly StartedAt: string;
    readonly Error: string;
  };
  readonly Config: {
    readonly Image: string;
    readonly Tty: boolean;
    readonly Env: readonly string[] | null;
    readonly Labels: Record<string, string>;
  };
  readonly Mounts: readonly {
    readonly Type: string;
    readonly Name?: string;
    readonly Source: string;
    readonly Destination: string;
    readonly RW: boolean;
  }[];
  readonly NetworkSettings: {
    readonly Networks: Record<
      string,
      { readonly IPAddress: string; readonly GlobalIPv6Address: string; readonly Aliases: readonly string[] | null }
    >;
  };
}

const TABS = ['logs', 'stats', 'terminal', 'details'];

export function ContainerPage({ id, tab = 'logs' }: { id: string; tab?: string | undefined }): JSX.Element {
  const [failure, fail] = useState('');
  const { value, error } = useLoaded(() => get<Inspect>(`/containers/${id}/json`), ['container', 'network'], [id]);
  const list = useLoaded(
    () => get<Summary[]>(`/containers/json?all=1&filters=${filters({ id: [id] })}`),
    ['container'],
    [id],
  );
  const summary = list.value?.[0];
  if (!value) return <Problem text={error} />;
  return (
    <>
      <h1>
        <a href="#/containers">Containers</a> / {value.Name.slice(1)}
      </h1>
      <Problem text={failure || error} />
      <div class="bar">
        {summary && <State container={summary} />}
        <span class="soft">{summary?.Status}</span>
        <span class="mono">{value.Config.Image}</span>
        {summary && <Buttons container={summary} fail={fail} />}
      </div>
      <Tabs base={`#/containers/${id}`} tabs={TABS} now={tab} />
      {tab === 'logs' && <Logs id={value.Id} tty={value.Config.Tty} />}
      {tab === 'stats' && <Stats id={value.Id} running={value.State.Status === 'running'} />}
      {tab === 'terminal' &&
        (value.State.Status === 'running' ? <Terminal container={value.Id} /> : <p class="soft">It does not run.</p>)}
      {tab === 'details' && <Details value={value} />}
    </>
  );
}

const MOST_LOG = 400_000;

function Logs({ id, tty }: { id: string; tty: boolean }): JSX.Element {
  const [parts, setParts] = useState<readonly LogPart[]>([]);
  const [error, setError] = useState('');
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const ended = new AbortController();
    let kept: LogPart[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const follow = async (): Promise<void> => {
      for await (const part of logStream(
        `/containers/${id}/logs?stdout=1&stderr=1&follow=1&tail=1000`,
        tty,
        ended.signal,
      )) {
        kept.push(part);
        // a flood is drawn ten times a second, and only its end kept
        timer ??= setTimeout(() => {
          timer = undefined;
          let length = 0;
          let from = kept.length;
          while (from > 0 && length < MOST_LOG) length += kept[--from]!.text.length;
          kept = kept.slice(from);
          setParts([...kept]);
        }, 100);
      }
    };
    follow().catch((failure: unknown) => ended.signal.aborted || setError((failure as Error).message));
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [id, tty]);
  useEffect(() => {
    const { current } = box;
    if (current && current.scrollHeight - current.scrollTop - current.clientHeight < 200)
      current.scrollTop = current.scrollHeight;
  }, [parts]);
  return (
    <>
      <Problem text={error} />
      <pre class="log" ref={box} tabIndex={0} aria-label="Log">
        {parts.map(({ stream, text }) => (stream === 'stderr' ? <span class="err">{plain(text)}</span> : plain(text)))}
      </pre>
    </>
  );
}

/** Without the escape sequences of terminals. */
function plain(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, '').replaceAll('\r\n', '\n');
}

function Stats({ id, running }: { id: string; running: boolean }): JSX.Element {
  const usage = useUsage(running ? [id] : []).get(id);
  const [history, setHistory] = useState<readonly Usage[]>([]);
  useEffect(() => {
    if (usage) setHistory((before) => [...before.slice(-59), usage]);
  }, [usage]);
  if (!running) return <p class="soft">It does not run.</p>;
  return (
    <div class="tiles">
      <Chart label="CPU" values={history.map(({ cpu }) => cpu)} show={(value) => `${value.toFixed(1)} %`} />
      <Chart label="Memory" values={history.map(({ memory }) => memory)} show={size} />
    </div>
  );
}

function Chart({
  label,
  values,
  show,
}: {
  label: string;
  values: readonly number[];
  show: (value: number) => string;
}): JSX.Element {
  const most = Math.max(...values, 1e-9);
  const points = values
    .map((value, at) => `${((at + 60 - values.length) / 59) * 300},${60 - (value / most) * 56}`)
    .join(' ');
  return (
    <div class="tile">
      <span class="soft">{label}</span>
      <b>{values.length > 0 ? show(values.at(-1)!) : '…'}</b>
      <svg viewBox="0 0 300 62" width="100%" role="img" aria-label={`${label}, the last three minutes`}>
        <polyline points={points} fill="none" stroke="var(--accent)" stroke-width="2" />
      </svg>
      <span class="soft">most: {show(Math.max(...values, 0))}</span>
    </div>
  );
}

function Details({ value }: { value: Inspect }): JSX.Element {
  return (
    <>
      <dl>
        <dt>Id</dt>
        <dd class="mono">{value.Id}</dd>
        <dt>Command</dt>
        <dd class="mono">{[value.Path, ...value.Args].join(' ')}</dd>
        <dt>Created</dt>
        <dd>{age(Date.parse(value.Created) / 1000)} ago</dd>
        <dt>Process</dt>
        <dd>{value.State.Pid || `ended with exit code ${value.State.ExitCode} ${value.State.Error}`}</dd>
      </dl>
      <h2>Networks</h2>
      <dl>
        {Object.entries(value.NetworkSettings.Networks).map(([name, network]) => (
          <>
            <dt>{name}</dt>
            <dd class="mono">
              {[network.IPAddress, network.GlobalIPv6Address, ...(network.Aliases ?? [])].filter(Boolean).join(' ')}
            </dd>
          </>
        ))}
      </dl>
      <h2>Mounts</h2>
      <dl>
        {value.Mounts.map((mount) => (
          <>
            <dt class="mono">{mount.Destination}</dt>
            <dd>
              {mount.Type === 'volume' ? (
                <a href={`#/volumes/${mount.Name}`}>{mount.Name}</a>
              ) : (
                <span class="mono">{mount.Source}</span>
              )}{' '}
              <span class="soft">{mount.RW ? mount.Type : `${mount.Type}, read-only`}</span>
            </dd>
          </>
        ))}
      </dl>
      <h2>Environment</h2>
      <p class="mono">{(value.Config.Env ?? []).map((entry) => entry.replace(/=.*/s, '=…')).join(' ')}</p>
    </>
  );
}

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { RecentBuildDocument as Build, RecentStepDocument as Step } from '../../api/gantry.ts';
import { get } from './api.ts';
import { age, shortId } from './format.ts';
import { Problem, Table } from './parts.tsx';

const COLOURS = {
  running: 'var(--warn)',
  cached: 'var(--good)',
  shared: 'var(--good)',
  run: 'var(--accent)',
  failed: 'var(--bad)',
};

function seconds({ Started, Ended }: { readonly Started: number; readonly Ended?: number }): string {
  return `${(((Ended ?? Date.now()) - Started) / 1000).toFixed(1)} s`;
}

/** Builds of this run of the engine; the chosen one with its graph and output, as it runs. */
export function Builds({ chosen }: { chosen: string | undefined }): JSX.Element {
  const [builds, setBuilds] = useState<readonly Build[]>();
  const [build, setBuild] = useState<Build>();
  const [error, setError] = useState('');
  useEffect(() => {
    let ended = false;
    const loop = async (): Promise<void> => {
      while (!ended) {
        try {
          const list = await get<Build[]>('/gantry/builds');
          const id = chosen ?? list[0]?.Id;
          const one = id === undefined ? undefined : await get<Build>(`/gantry/builds/${id}`);
          if (ended) return;
          setBuilds(list);
          setBuild(one);
          setError('');
        } catch (failure) {
          setError((failure as Error).message);
        }
        await new Promise((resolve) => setTimeout(resolve, document.hidden ? 5000 : 1000));
      }
    };
    void loop();
    return () => void (ended = true);
  }, [chosen]);
  return (
    <>
      <h1>Builds</h1>
      <Problem text={error === 'page not found' ? 'This engine does not tell of its builds.' : error} />
      {builds?.length === 0 && <p class="soft">None since the engine started.</p>}
      {build && <Graph build={build} />}
      {builds && builds.length > 0 && (
        <>
          <h2>All</h2>
          <Table head={['Build', 'State', ['Steps', 'number'], ['Cached', 'number'], ['Took', 'number'], 'When']}>
            {builds.map((one) => (
              <tr key={one.Id}>
                <td>
                  <a href={`#/builds/${one.Id}`}>{one.Tags.join(', ') || shortId(one.Image ?? one.Id)}</a>
                </td>
                <td>
                  <span class={`tag ${{ running: 'warn', done: 'good', failed: 'bad' }[one.State]}`}>{one.State}</span>
                </td>
                <td class="number">{one.Steps.length}</td>
                <td class="number">
                  {one.Steps.filter(({ State }) => State === 'cached' || State === 'shared').length}
                </td>
                <td class="number">{seconds(one)}</td>
                <td>{age(one.Started / 1000)} ago</td>
              </tr>
            ))}
          </Table>
        </>
      )}
    </>
  );
}

const BOX = { width: 260, height: 44, gap: 16 };

/** Stages side by side, steps from top to bottom; arrows where one stage takes from another. */
function Graph({ build }: { build: Build }): JSX.Element {
  const stages = [...new Set(build.Steps.map(({ Stage }) => Stage))].sort((a, b) => a - b);
  const place = new Map<string, { x: number; y: number }>();
  for (const [column, stage] of stages.entries()) {
    const steps = build.Steps.filter(({ Stage }) => Stage === stage).sort((a, b) => a.Position - b.Position);
    for (const [row, { Id }] of steps.entries()) {
      place.set(Id, { x: 8 + column * (BOX.width + 50), y: 30 + row * (BOX.height + BOX.gap) });
    }
  }
  const width = 16 + stages.length * (BOX.width + 50);
  const height = Math.max(...[...place.values()].map(({ y }) => y), 30) + BOX.height + 12;
  const last = (name: string): Step | undefined =>
    build.Steps.filter(({ StageName, Stage }) => StageName === name || String(Stage) === name).sort(
      (a, b) => b.Position - a.Position,
    )[0];
  const edges = build.Steps.flatMap((step) => {
    const before = build.Steps.find(({ Stage, Position }) => Stage === step.Stage && Position === step.Position - 1);
    const taken =
      /(?:--from=|[, ]from=)([\w.-]+)/.exec(step.Text)?.[1] ??
      (step.Position === 0 ? /^FROM\s+(?:--\S+\s+)*(\S+)/i.exec(step.Text)?.[1] : undefined);
    const from = taken === undefined ? undefined : last(taken);
    return [before, from]
      .filter((one) => one !== undefined && one.Id !== step.Id)
      .map((one) => [one!.Id, step.Id] as const);
  });
  return (
    <section aria-label="The build">
      <div class="bar">
        <h2>{build.Tags.join(', ') || build.Dockerfile}</h2>
        <span class={`tag ${{ running: 'warn', done: 'good', failed: 'bad' }[build.State]}`}>{build.State}</span>
        <span class="soft">{seconds(build)}</span>
        <span class="soft">
          <span class="good">■</span> from the cache <span style={{ color: 'var(--accent)' }}>■</span> made{' '}
          <span class="warn">■</span> running <span class="bad">■</span> failed
        </span>
      </div>
      <Problem text={build.Error ?? ''} />
      <div class="scroll">
        <svg viewBox={`0 0 ${width} ${height}`} style={{ width: `${width}px`, maxWidth: 'none' }} role="img">
          <title>Steps of the build</title>
          {stages.map((stage, column) => (
            <text x={8 + column * (BOX.width + 50)} y="18" font-weight="600" key={stage}>
              {build.Steps.find(({ Stage }) => Stage === stage)!.StageName || `stage ${stage}`}
            </text>
          ))}
          {edges.map(([from, to]) => {
            const [a, b] = [place.get(from)!, place.get(to)!];
            const path =
              a.x === b.x
                ? `M${a.x + 20} ${a.y + BOX.height} V${b.y}`
                : `M${a.x + BOX.width} ${a.y + BOX.height / 2} C${a.x + BOX.width + 30} ${a.y + BOX.height / 2}, ${b.x - 30} ${b.y + BOX.height / 2}, ${b.x} ${b.y + BOX.height / 2}`;
            return <path class="lead" d={path} key={`${from} ${to}`} />;
          })}
          {build.Steps.map((step) => {
            const { x, y } = place.get(step.Id)!;
            return (
              <g key={step.Id}>
                <title>{step.Text}</title>
                <rect class="box" x={x} y={y} width={BOX.width} height={BOX.height} rx="6" />
                <rect x={x} y={y} width="6" height={BOX.height} rx="3" fill={COLOURS[step.State]} />
                <text x={x + 14} y={y + 19}>
                  {step.Text.length > 34 ? `${step.Text.slice(0, 33)}…` : step.Text}
                </text>
                <text x={x + 14} y={y + 36} style={{ fill: 'var(--soft)' }}>
                  {step.State === 'run' ? 'made' : step.State} {step.State === 'cached' ? '' : seconds(step)}
                </text>
              </g>
            );
          })}
        </svg>
      </div>
      {build.Output && (
        <>
          <h2>Output</h2>
          <pre class="log" style={{ height: '35vh' }} tabIndex={0}>
            {build.Output}
          </pre>
        </>
      )}
    </section>
  );
}

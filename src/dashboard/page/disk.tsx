import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, get } from './api.ts';
import { size } from './format.ts';
import { useLoaded } from './live.ts';
import { Action, Problem } from './parts.tsx';

interface Usage {
  readonly LayersSize: number;
  readonly Images:
    | readonly { readonly Size: number; readonly SharedSize: number; readonly Containers: number }[]
    | null;
  readonly Containers: readonly { readonly SizeRw?: number; readonly State: string }[] | null;
  readonly Volumes: readonly { readonly UsageData?: { readonly Size: number; readonly RefCount: number } }[] | null;
  readonly BuildCache: readonly { readonly Size: number; readonly InUse: boolean; readonly Shared: boolean }[] | null;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + Math.max(0, value), 0);
}

/** What takes room, how much of it can go, and a button that lets it go. */
export function Disk(): JSX.Element {
  const { value, error, reload } = useLoaded(() => get<Usage>('/system/df'), ['image', 'volume', 'builder']);
  const [failure, fail] = useState('');
  const [told, tell] = useState('');
  if (!value) {
    return (
      <>
        <h1>Disk</h1>
        {error === '' ? <p class="soft">One moment…</p> : <Problem text={error} />}
      </>
    );
  }
  const prune = (path: string) => async (): Promise<void> => {
    const { SpaceReclaimed } = (await (await call('POST', path)).json()) as { SpaceReclaimed?: number };
    tell(`${size(SpaceReclaimed ?? 0)} are free again.`);
    reload();
  };
  const images = value.Images ?? [];
  const containers = value.Containers ?? [];
  const volumes = value.Volumes ?? [];
  const cache = value.BuildCache ?? [];
  const rows = [
    {
      label: 'Images',
      all: value.LayersSize,
      free: sum(
        images
          .filter(({ Containers }) => Containers === 0)
          .map(({ Size, SharedSize }) => Size - Math.max(0, SharedSize)),
      ),
      count: images.length,
      button: 'Remove images without containers',
      path: `/images/prune?filters=${encodeURIComponent('{"dangling":["false"]}')}`,
    },
    {
      label: 'Containers',
      all: sum(containers.map(({ SizeRw }) => SizeRw ?? 0)),
      free: sum(containers.filter(({ State }) => State !== 'running').map(({ SizeRw }) => SizeRw ?? 0)),
      count: containers.length,
      button: 'Remove stopped containers',
      path: '/containers/prune',
    },
    {
      label: 'Volumes',
      all: sum(volumes.map(({ UsageData }) => UsageData?.Size ?? 0)),
      free: sum(volumes.filter(({ UsageData }) => UsageData?.RefCount === 0).map(({ UsageData }) => UsageData!.Size)),
      count: volumes.length,
      button: 'Remove anonymous volumes that nothing uses',
      path: '/volumes/prune',
    },
    {
      label: 'Build cache',
      all: sum(cache.map(({ Size }) => Size)),
      free: sum(cache.filter(({ InUse, Shared }) => !InUse && !Shared).map(({ Size }) => Size)),
      count: cache.length,
      button: 'Empty the build cache',
      path: '/build/prune',
    },
  ];
  return (
    <>
      <h1>Disk</h1>
      <Problem text={failure || error} />
      {told !== '' && <p role="status">{told}</p>}
      <div class="tiles">
        {rows.map(({ label, all, free, count, button, path }) => (
          <div class="tile" key={label}>
            <span class="soft">
              {label}: {count}
            </span>
            <b>{size(all)}</b>
            <div class="meter">
              <i style={{ width: `${all > 0 ? Math.min(100, (free / all) * 100) : 0}%` }} />
            </div>
            <p class="soft">{size(free)} can go</p>
            <Action label={button} confirm={`${button}?`} run={prune(path)} fail={fail} />
          </div>
        ))}
      </div>
    </>
  );
}

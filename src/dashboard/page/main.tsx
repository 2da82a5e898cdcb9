import { type JSX, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get } from './api.ts';
import { Builds } from './builds.tsx';
import { ContainerPage, Containers } from './containers.tsx';
import { Disk } from './disk.tsx';
import { Events } from './events.tsx';
import { ImagePage, Images } from './images.tsx';
import { followEvents, useLoaded } from './live.ts';
import { Networks } from './networks.tsx';
import { Projects } from './projects.tsx';
import { Registry } from './registry.tsx';
import { VolumePage, Volumes } from './volumes.tsx';

interface Info {
  readonly Name: string;
  readonly ServerVersion: string;
  readonly Containers: number;
  readonly ContainersRunning: number;
  readonly Images: number;
}

const PAGES: readonly (readonly [path: string, label: string])[] = [
  ['containers', 'Containers'],
  ['projects', 'Compose'],
  ['images', 'Images'],
  ['builds', 'Builds'],
  ['networks', 'Networks'],
  ['volumes', 'Volumes'],
  ['registry', 'Registry'],
  ['events', 'Events'],
  ['disk', 'Disk'],
];

function Page({ words }: { words: readonly string[] }): JSX.Element {
  const [page, first, ...rest] = words;
  if (page === 'containers') return first ? <ContainerPage key={first} id={first} tab={rest[0]} /> : <Containers />;
  if (page === 'images') return first ? <ImagePage key={first} id={first} /> : <Images />;
  if (page === 'volumes') return first ? <VolumePage name={first} path={rest.join('/')} /> : <Volumes />;
  if (page === 'builds') return <Builds chosen={first} />;
  if (page === 'networks') return <Networks />;
  if (page === 'projects') return <Projects />;
  if (page === 'registry') return <Registry />;
  if (page === 'events') return <Events />;
  if (page === 'disk') return <Disk />;
  return <p>There is no such page.</p>;
}

function App(): JSX.Element {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const change = (): void => {
      setHash(location.hash);
      document.querySelector('main')?.scrollIntoView({ block: 'nearest' });
    };
    window.addEventListener('hashchange', change);
    // g and a letter goes to a page, / to the search
    let awaiting = false;
    const key = (event: KeyboardEvent): void => {
      const { target } = event;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (
        target instanceof HTMLElement &&
        (target.closest('input, select, textarea, .terminal') !== null || target.isContentEditable)
      )
        return;
      if (event.key === '/') {
        event.preventDefault();
        document.querySelector<HTMLElement>('main input[type=search]')?.focus();
      } else if (awaiting) {
        const page = PAGES.find(([path]) => path.startsWith(event.key));
        if (page) location.hash = `#/${page[0]}`;
      }
      awaiting = event.key === 'g';
    };
    window.addEventListener('keydown', key);
    return () => {
      window.removeEventListener('hashchange', change);
      window.removeEventListener('keydown', key);
    };
  }, []);
  const words = hash.replace(/^#\//, '').split('/').map(decodeURIComponent);
  const path = words[0] === '' ? 'containers' : words[0];
  const { value: info, error } = useLoaded(() => get<Info>('/info'), ['container', 'image', 'daemon']);
  const counts: Record<string, number | undefined> = { containers: info?.ContainersRunning, images: info?.Images };
  return (
    <>
      <nav aria-label="Pages">
        <div class="name">
          <img src="icon.svg" alt="" />
          <span>Gantry</span>
        </div>
        {PAGES.map(([page, label]) => (
          <a href={`#/${page}`} aria-current={page === path ? 'page' : undefined} key={page}>
            {label} <span>{counts[page] ?? ''}</span>
          </a>
        ))}
        <small>{error || (info ? `${info.Name}, engine ${info.ServerVersion}` : '')}</small>
      </nav>
      <main>
        <Page words={words[0] === '' ? ['containers'] : words} />
      </main>
    </>
  );
}

void followEvents();
render(<App />, document.getElementById('page')!);

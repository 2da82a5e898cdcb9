import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { get } from './api.ts';
import { nameOf, type Summary } from './containers.tsx';
import { useLoaded } from './live.ts';
import { Problem } from './parts.tsx';

interface Network {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Internal: boolean;
  readonly IPAM: { readonly Config: readonly { readonly Subnet?: string }[] | null };
  readonly Options: Readonly<Record<string, string>> | null;
}

const BOX = { width: 230, height: 56, gap: 14 };

/** Every network as a frame with its containers in it; lines show what is published to the outside. */
export function Networks(): JSX.Element {
  const { value, error } = useLoaded(async () => {
    const [networks, containers] = await Promise.all([get<Network[]>('/networks'), get<Summary[]>('/containers/json')]);
    return { networks, containers };
  }, ['network', 'container']);
  const [empty, setEmpty] = useState(false);
  if (!value) {
    return (
      <>
        <h1>Networks</h1>
        {error === '' ? <p class="soft">One moment…</p> : <Problem text={error} />}
      </>
    );
  }
  const members = (name: string): Summary[] =>
    value.containers.filter(({ NetworkSettings }) => Object.hasOwn(NetworkSettings.Networks, name));
  const shown = value.networks.filter(({ Name }) => empty || members(Name).length > 0);
  return (
    <>
      <h1>Networks</h1>
      <Problem text={error} />
      <div class="bar">
        <label>
          <input type="checkbox" checked={empty} onChange={(event) => setEmpty(event.currentTarget.checked)} /> also
          those without containers
        </label>
        <span class="soft">
          {shown.length} of {value.networks.length}
        </span>
      </div>
      {shown.map((network) => (
        <Picture key={network.Id} network={network} members={members(network.Name)} />
      ))}
      {shown.length === 0 && <p class="soft">No container runs on any network.</p>}
    </>
  );
}

function Picture({ network, members }: { network: Network; members: readonly Summary[] }): JSX.Element {
  const columns = Math.max(1, Math.min(members.length, 3));
  const rows = Math.ceil(Math.max(1, members.length) / columns);
  const width = 150 + columns * (BOX.width + BOX.gap) + BOX.gap;
  const height = 46 + rows * (BOX.height + BOX.gap) + BOX.gap;
  return (
    <section aria-label={network.Name}>
      <h2>{network.Name}</h2>
      <p class="soft">{reach(network)}</p>
      <div class="scroll">
        <svg
          viewBox={`0 0 ${width} ${height}`}
          style={{ minWidth: '560px', maxWidth: `${width}px`, width: '100%' }}
          role="img"
        >
          <title>
            {network.Name}: {members.map(nameOf).join(', ')}
          </title>
          <rect
            class="net"
            x="140"
            y="8"
            width={width - 148}
            height={height - 16}
            rx="10"
            stroke-dasharray={network.Internal ? '6 4' : ''}
          />
          <text x="154" y="30">
            {network.Driver} {(network.IPAM.Config ?? []).map(({ Subnet }) => Subnet).join(' ')}
          </text>
          {members.map((one, at) => {
            const x = 140 + BOX.gap + (at % columns) * (BOX.width + BOX.gap);
            const y = 42 + Math.floor(at / columns) * (BOX.height + BOX.gap);
            const published = [
              ...new Map(
                one.Ports.filter(({ PublicPort }) => PublicPort !== undefined).map((port) => [port.PublicPort, port]),
              ).values(),
            ];
            return (
              <g key={one.Id}>
                <a href={`#/containers/${one.Id}`}>
                  <rect class="box" x={x} y={y} width={BOX.width} height={BOX.height} rx="6" />
                  <text x={x + 10} y={y + 22} font-weight="600">
                    {nameOf(one).slice(0, 28)}
                  </text>
                  <text x={x + 10} y={y + 42}>
                    {one.NetworkSettings.Networks[network.Name]?.IPAddress}
                  </text>
                </a>
                {published.length > 0 && (
                  <>
                    <path class="lead" d={`M118 ${y + 28} H${x}`} marker-end="" />
                    <text x="4" y={y + 32}>
                      {published
                        .slice(0, 2)
                        .map(
                          ({ IP, PublicPort }) =>
                            `${IP === '127.0.0.1' || IP === '::1' ? 'this machine' : 'anyone'}:${PublicPort}`,
                        )
                        .join(' ')}
                    </text>
                  </>
                )}
              </g>
            );
          })}
        </svg>
      </div>
    </section>
  );
}

/** Who may reach whom, in a sentence. */
function reach({ Name, Driver, Internal, Options }: Network): string {
  if (Driver === 'host')
    return 'The network of this machine itself: every port of these containers is one of the machine.';
  if (Driver === 'null') return 'No network at all.';
  const among =
    Options?.['com.docker.network.bridge.enable_icc'] === 'false'
      ? 'Containers here do not reach each other'
      : `Containers here reach each other${Name === 'bridge' ? ' by address' : ' by name'}`;
  return `${among}; ${Internal ? 'nothing leads out or in' : 'they reach the outside, and from outside only published ports lead in'}. Other networks are not reached.`;
}

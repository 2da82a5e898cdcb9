import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, get } from './api.ts';
import { nameOf, ports, State, type Summary } from './containers.tsx';
import { useLoaded } from './live.ts';
import { Action, Problem, Table } from './parts.tsx';

const PROJECT = 'com.docker.compose.project';

/** Compose projects, as the labels of their containers tell. */
export function Projects(): JSX.Element {
  const { value, error } = useLoaded(
    async () => Object.groupBy(await get<Summary[]>('/containers/json?all=1'), ({ Labels }) => Labels[PROJECT] ?? ''),
    ['container'],
  );
  const [failure, fail] = useState('');
  const names = Object.keys(value ?? {})
    .filter((name) => name !== '')
    .sort();
  const all = (members: readonly Summary[], verb: string) => async (): Promise<void> => {
    for (const { Id } of members) await call('POST', `/containers/${Id}/${verb}`);
  };
  return (
    <>
      <h1>Compose projects</h1>
      <Problem text={failure || error} />
      {value && names.length === 0 && <p class="soft">None. `gantry compose up` starts one.</p>}
      {names.map((name) => {
        const members = value![name]!.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
        const running = members.filter(({ State: state }) => state === 'running');
        return (
          <section key={name}>
            <div class="bar">
              <h2>{name}</h2>
              <span class="soft">
                {running.length} of {members.length} run · {members[0]!.Labels[`${PROJECT}.config_files`]}
              </span>
              {running.length < members.length && (
                <Action
                  label="Start all"
                  run={all(
                    members.filter((one) => !running.includes(one)),
                    'start',
                  )}
                  fail={fail}
                />
              )}
              {running.length > 0 && <Action label="Stop all" run={all(running, 'stop')} fail={fail} />}
            </div>
            <Table head={['Service', 'Container', 'State', 'Ports']}>
              {members.map((one) => (
                <tr key={one.Id}>
                  <td>{one.Labels['com.docker.compose.service']}</td>
                  <td>
                    <a href={`#/containers/${one.Id}`}>{nameOf(one)}</a>
                    <div class="soft">{one.Status}</div>
                  </td>
                  <td>
                    <State container={one} />
                  </td>
                  <td class="mono">{ports(one)}</td>
                </tr>
              ))}
            </Table>
          </section>
        );
      })}
    </>
  );
}

import type { Finding } from '../../../api/why.ts';
import type { ContainerRecord } from '../../../state/containers.ts';
import { composeService, dependenciesOf } from '../../boot-order.ts';
import { hasProcess } from '../state.ts';

/** What of the services that Compose made it depend on is not as it must be. */
export function dependencyFindings(record: ContainerRecord, all: readonly ContainerRecord[]): Finding[] {
  const project = composeService(record)?.project;
  if (project === undefined) return [];
  return dependenciesOf(record).flatMap(({ service, condition }): Finding[] => {
    const others = all.filter((other) => {
      const own = composeService(other);
      return own?.project === project && own.service === service;
    });
    const wrong =
      others.length === 0 ? 'has no container' : others.map((other) => complaint(other, condition)).find(Boolean);
    if (wrong === undefined) return [];
    return [
      {
        Kind: 'dependency',
        Text: `it depends on ${service} (${condition}), which ${wrong}`,
        Hint: others.length === 0 ? `gantry compose -p ${project} up -d ${service}` : `gantry why ${others[0]!.name}`,
      },
    ];
  });
}

function complaint({ state }: ContainerRecord, condition: string): string | undefined {
  if (condition === 'service_completed_successfully') {
    if (state.status === 'exited') return state.exitCode === 0 ? undefined : `ended with code ${state.exitCode}`;
    return hasProcess(state) ? 'has not ended yet' : 'was never run';
  }
  if (!hasProcess(state)) return state.status === 'exited' ? `ended with code ${state.exitCode}` : `is ${state.status}`;
  if (condition === 'service_healthy' && state.health?.Status !== 'healthy') {
    return state.health === undefined ? 'has no health check' : `is ${state.health.Status}`;
  }
  return undefined;
}

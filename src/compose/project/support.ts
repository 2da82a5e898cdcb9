import { EngineError } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { olderVersion } from '../../client/query.ts';
import { asDict, asList, asText } from '../model/value.ts';
import type { Service } from './project.ts';

/** Fields that a container cannot be given here, and why: refused, not dropped. */
const REFUSED: Readonly<Record<string, string>> = {
  models: "there is no model runner here; name a model server's address in the service's environment",
  credential_spec: 'it is for containers of Windows',
};

/** Throws `unimplemented`, naming the service and the field. */
export function checkSupported(service: Service): void {
  const { model, name } = service;
  const refuse = (field: string, why: string): never => {
    throw new EngineError(
      'unimplemented',
      `services.${name}.${field} is not supported: ${why}; remove it to start this service`,
    );
  };
  onUnhealthy(service);
  for (const [field, why] of Object.entries(REFUSED)) if (model[field] !== undefined) refuse(field, why);
  const isolation = asText(model['isolation']) ?? 'default';
  if (isolation !== 'default')
    refuse('isolation', `on Linux there is only 'default', not ${JSON.stringify(isolation)}`);
  for (const mount of asList(model['volumes']).map(asDict))
    if (mount['type'] === 'cluster' || mount['type'] === 'npipe')
      refuse(`volumes (type ${String(mount['type'])})`, 'it is of another system');
}

/** Engines before this do not know what an interface is to be called, and would not say so. */
const INTERFACE_NAMES_SINCE = '1.49';

/** Throws `unimplemented` for what this engine is too old for. */
export async function checkEngine(client: Client, services: Iterable<Service>): Promise<void> {
  for (const { name, model } of services)
    for (const [key, network] of Object.entries(asDict(model['networks']))) {
      if (asDict(network)['interface_name'] === undefined) continue;
      const version = await client.apiVersion();
      if (olderVersion(INTERFACE_NAMES_SINCE, version) !== INTERFACE_NAMES_SINCE)
        throw new EngineError(
          'unimplemented',
          `services.${name}.networks.${key}.interface_name needs an engine of API ${INTERFACE_NAMES_SINCE} or newer; this one speaks ${version}`,
        );
    }
}

/** Fields that mean something only in a cluster, or beside another one that is not there: said once. */
export function ignoredFields(service: Service): string[] {
  const deploy = asDict(service.model['deploy']);
  return ['placement', 'endpoint_mode']
    .filter((key) => deploy[key] !== undefined)
    .map((key) => `services.${service.name}.deploy.${key} has no effect on one machine`)
    .concat(
      deploy['rollback_config'] !== undefined && asDict(deploy['update_config'])['failure_action'] !== 'rollback'
        ? [
            `services.${service.name}.deploy.rollback_config has no effect without update_config.failure_action: rollback`,
          ]
        : [],
    );
}

/** What the engine is to do when the service's health check has failed for good: `x-on-unhealthy` of it or of its check. */
export function onUnhealthy(service: Service): string | undefined {
  const { model } = service;
  const wanted = asText(asDict(model['healthcheck'])['x-on-unhealthy']) ?? asText(model['x-on-unhealthy']);
  if (wanted === undefined || wanted === 'none') return undefined;
  if (wanted !== 'restart')
    throw new EngineError(
      'invalid-argument',
      `services.${service.name}.x-on-unhealthy must be none or restart, not ${JSON.stringify(wanted)}`,
    );
  return wanted;
}

import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText } from '../model/value.ts';
import type { Service } from './project.ts';

/** Fields that a container cannot be given here: refused, not dropped. */
const REFUSED = ['models', 'credential_spec', 'isolation', 'use_api_socket', 'volume_driver'];

/** Throws `unimplemented`, naming the service and the field. */
export function checkSupported(service: Service): void {
  const { model, name } = service;
  const refuse = (field: string): never => {
    throw new EngineError(
      'unimplemented',
      `services.${name}.${field} is not supported: remove it to start this service`,
    );
  };
  onUnhealthy(service);
  for (const field of REFUSED) if (model[field] !== undefined && model[field] !== false) refuse(field);
  for (const mount of asList(model['volumes']).map(asDict))
    if (mount['type'] === 'cluster' || mount['type'] === 'npipe') refuse(`volumes (type ${String(mount['type'])})`);
  for (const [key, network] of Object.entries(asDict(model['networks'])))
    if (asDict(network)['interface_name'] !== undefined) refuse(`networks.${key}.interface_name`);
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

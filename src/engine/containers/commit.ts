import type { ContainerConfig } from '../../api/container.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import type { CommitOptions } from '../engine.ts';
import { applyChanges } from '../images/changes.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { pauseContainer, unpauseContainer } from './pause.ts';

/** Makes an image of the container's changes, paused meanwhile unless told not to. Throws `invalid-argument`. */
export async function commitContainer(
  context: ContainerContext,
  nameOrId: string,
  options: CommitOptions,
): Promise<{ Id: string }> {
  const record = findContainer(context, nameOrId);
  const config = applyChanges(
    { ...runConfigOf(record.config), ...runConfigOf(options.config ?? {}) },
    options.changes ?? [],
  );
  const pause = options.pause !== false && record.state.status === 'running';
  if (pause) await pauseContainer(context, record.id);
  try {
    const { id, reference } = await context.committer.commit({
      record,
      config,
      repository: options.repo || undefined,
      tag: options.tag || undefined,
      author: options.author ?? '',
      comment: options.comment ?? '',
    });
    if (record.hostConfig.Secrets?.length) {
      void context.background.run(`container ${record.name}: search for its secrets in ${id}`, () =>
        context.secrets.committed(record, id),
      );
    }
    publishContainerEvent(context, record, 'commit', {
      comment: options.comment ?? '',
      imageID: id,
      imageRef: reference ?? '',
    });
    return { Id: id };
  } finally {
    if (pause) await unpauseContainer(context, record.id).catch(() => {}); // ended meanwhile
  }
}

/** What of a container's configuration an image keeps. */
export function runConfigOf(config: ContainerConfig): ImageRunConfig {
  return {
    ...(config.User && { User: config.User }),
    ...(config.ExposedPorts && { ExposedPorts: config.ExposedPorts }),
    ...(config.Env && { Env: config.Env }),
    ...(config.Entrypoint && { Entrypoint: config.Entrypoint }),
    ...(config.Cmd && { Cmd: config.Cmd }),
    ...(config.Volumes && { Volumes: config.Volumes }),
    ...(config.WorkingDir && { WorkingDir: config.WorkingDir }),
    ...(config.Labels && { Labels: config.Labels }),
    ...(config.StopSignal && { StopSignal: config.StopSignal }),
    ...(config.Healthcheck && { Healthcheck: config.Healthcheck }),
    ...(config.Shell && { Shell: config.Shell }),
  };
}

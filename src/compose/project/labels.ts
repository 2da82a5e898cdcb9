/** Docker's Compose finds its containers by these: with the same labels, what one has started the other can manage. */
export const LABEL = {
  configHash: 'com.docker.compose.config-hash',
  containerNumber: 'com.docker.compose.container-number',
  dependsOn: 'com.docker.compose.depends_on',
  image: 'com.docker.compose.image',
  network: 'com.docker.compose.network',
  oneOff: 'com.docker.compose.oneoff',
  project: 'com.docker.compose.project',
  configFiles: 'com.docker.compose.project.config_files',
  workingDirectory: 'com.docker.compose.project.working_dir',
  environmentFile: 'com.docker.compose.project.environment_file',
  replace: 'com.docker.compose.replace',
  secret: 'com.docker.compose.secret',
  service: 'com.docker.compose.service',
  slug: 'com.docker.compose.slug',
  version: 'com.docker.compose.version',
  volume: 'com.docker.compose.volume',
} as const;

/** The version of Docker's Compose whose labels and names these are. */
export const COMPOSE_VERSION = '2.40.3';

/** What was made for a pod is found by these. */
export const KUBE_LABEL = {
  pod: 'gantry.kube.pod',
  container: 'gantry.kube.container',
  /** `infra`, `init` or `app` */
  role: 'gantry.kube.role',
  project: 'gantry.kube.project',
} as const;

/** Where a task's things are below the exec root; see docs/architecture.md. */
export class TaskPaths {
  readonly execRoot: string;

  constructor(execRoot: string) {
    this.execRoot = execRoot;
  }

  tasks(): string {
    return `${this.execRoot}/tasks`;
  }

  bundle(id: string): string {
    return `${this.execRoot}/tasks/${id}`;
  }

  /** In the bundle: where the container's root filesystem is mounted by convention. */
  rootfs(id: string): string {
    return `${this.bundle(id)}/rootfs`;
  }

  exits(): string {
    return `${this.execRoot}/exits`;
  }

  exit(id: string): string {
    return `${this.execRoot}/exits/${id}`;
  }

  execs(): string {
    return `${this.execRoot}/execs`;
  }

  /** `--root` of an OCI runtime. */
  runtimeRoot(runtime: string): string {
    return `${this.execRoot}/runtime/${runtime}`;
  }
}

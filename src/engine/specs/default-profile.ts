import { EngineError, errorMessage } from '../../base/errors.ts';
import { isProfileLoaded, loadProfile } from '../../linux/apparmor.ts';
import { defaultProfileText, KERNEL_PROFILE } from '../../runtime/spec/apparmor-profile.ts';

/** The kernel's copy of our AppArmor profile. */
export class DefaultProfile {
  /** Whether it is this engine's, and not one of an earlier version. */
  #ours = false;
  #loading: Promise<void> | undefined;

  /**
   * Before a process is started with `profile`: loads it if it is ours to load. It is looked for each time, for the
   * distributions' `aa-remove-unknown` removes what is not in /etc/apparmor.d. Throws `unavailable`: nothing runs
   * unconfined because of that.
   */
  async ensure(profile: string | undefined): Promise<void> {
    if (profile !== KERNEL_PROFILE || (this.#ours && isProfileLoaded(KERNEL_PROFILE))) return;
    this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
    await this.#loading;
  }

  async #load(): Promise<void> {
    try {
      await loadProfile(defaultProfileText());
      this.#ours = true;
    } catch (error) {
      throw new EngineError(
        'unavailable',
        `the AppArmor profile ${KERNEL_PROFILE} could not be loaded (${errorMessage(error)}): mend that, or run the container with --security-opt apparmor=unconfined`,
        { cause: error },
      );
    }
  }
}

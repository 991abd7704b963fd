/** hcheck: is a cluster well, and would balancing help? */
import { type CommonOptions, common_defaults } from './options.ts';
import { Failure, type Program } from './program.ts';

export const hcheck: Program<CommonOptions> = {
  name: 'hcheck',
  options: [],
  defaults: common_defaults,
  argument_completion: [],
  arguments: 0,
  run: async () => {
    throw new Failure('not there yet');
  },
};

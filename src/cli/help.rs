//! What `--help` shows: of the program all there is, on one screen; of a command first how it is used.

/// The help of the program, which leaves a line of a terminal of 80 by 24 for the prompt.
pub(super) const OF_THE_PROGRAM: &str = "{about}
Usage: ipcq COMMAND [ARGUMENT]...  ('ipcq COMMAND --help' tells more)
Exit codes: 0 done, 1 time ran out, 2 error, 3 closed, 4 no queue, 5 some dead

{before-help}USE                                     WORK
  create   make a queue                   work     run a command per message
  put      put messages into it           produce  put what a command prints
  get      take messages, waiting         ack      say that messages are done
  close    refuse further puts            nack     give messages back
  rm       remove queues                  extend   let leases run longer
  completions   for a shell               join     wait until all is done
SEE                                     STEER
  ls       all queues, a line each        pause    let puts and gets wait
  stat     one queue in depth             resume   let them go on
  peek     messages, without taking       mv       move to another queue
  wait     wait until it is as needed     retry    make dead messages ready
  verify   whether it is sound            purge    remove messages
  top      all of it, live
";

/// The help of each command.
pub(super) const OF_A_COMMAND: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}\n";

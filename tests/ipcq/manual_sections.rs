//! What people have written for the manual pages of the commands, in roff: their descriptions, and
//! the sections that nobody can read off the command line's definition.

/// The written part of one page.
pub(crate) struct Written {
    /// The section DESCRIPTION.
    pub(crate) description: &'static str,
    /// Whole sections that follow OPTIONS.
    pub(crate) sections: &'static str,
    /// Commands whose pages are worth reading next.
    pub(crate) related: &'static [&'static str],
}

/// The written part of the page of `command`; of `ipcq` for the page of the program.
pub(crate) fn written(command: &str) -> Written {
    match command {
        "ipcq" => Written {
            description: IPCQ,
            sections: IPCQ_SECTIONS,
            related: &[
                "create",
                "put",
                "get",
                "ack",
                "nack",
                "extend",
                "join",
                "produce",
                "work",
                "close",
                "rm",
                "ls",
                "stat",
                "top",
                "pause",
                "resume",
                "mv",
                "wait",
                "peek",
                "retry",
                "purge",
                "verify",
                "completions",
            ],
        },
        "create" => Written { description: CREATE, sections: CREATE_EXIT, related: &["put", "rm", "stat"] },
        "put" => Written { description: PUT, sections: PUT_EXIT, related: &["get", "close", "create", "produce"] },
        "get" => {
            Written { description: GET, sections: GET_SECTIONS, related: &["put", "close", "stat", "ack", "nack"] }
        }
        "ack" => Written { description: ACK, sections: LEASE_EXIT, related: &["get", "nack", "extend"] },
        "nack" => Written { description: NACK, sections: LEASE_EXIT, related: &["get", "ack", "extend", "peek"] },
        "extend" => Written { description: EXTEND, sections: LEASE_EXIT, related: &["get", "ack", "nack"] },
        "join" => Written { description: JOIN, sections: JOIN_EXIT, related: &["get", "ack", "close", "peek"] },
        "produce" => Written { description: PRODUCE, sections: PRODUCE_EXIT, related: &["create", "put", "close"] },
        "peek" => Written { description: PEEK, sections: PEEK_SECTIONS, related: &["get", "retry", "purge", "stat"] },
        "retry" => Written { description: RETRY, sections: RETRY_EXIT, related: &["peek", "purge"] },
        "purge" => Written { description: PURGE, sections: PURGE_EXIT, related: &["peek", "retry", "rm"] },
        "work" => Written { description: WORK, sections: WORK_SECTIONS, related: &["put", "get", "close", "stat"] },
        "close" => Written { description: CLOSE, sections: CLOSE_EXIT, related: &["get", "put", "rm"] },
        "rm" => Written { description: RM, sections: RM_EXIT, related: &["close", "ls"] },
        "ls" => Written { description: LS, sections: LS_EXIT, related: &["stat", "top", "rm"] },
        "stat" => Written { description: STAT, sections: STAT_EXIT, related: &["ls", "top"] },
        "top" => {
            Written { description: TOP, sections: TOP_SECTIONS, related: &["ls", "stat", "peek", "pause", "purge"] }
        }
        "pause" => Written { description: PAUSE, sections: STEER_EXIT, related: &["resume", "close", "stat"] },
        "resume" => Written { description: RESUME, sections: STEER_EXIT, related: &["pause", "stat"] },
        "mv" => Written { description: MV, sections: MV_EXIT, related: &["get", "put", "peek"] },
        "wait" => Written { description: WAIT, sections: WAIT_EXIT, related: &["get", "join", "create"] },
        "verify" => Written { description: VERIFY, sections: VERIFY_EXIT, related: &["stat", "rm"] },
        "completions" => Written { description: COMPLETIONS, sections: COMPLETIONS_FILES, related: &[] },
        _ => panic!("nothing is written about '{command}': add it to tests/ipcq/manual_sections.rs"),
    }
}

const IPCQ: &str = r#"\fBipcq\fR gives shell scripts named queues, through which separate processes hand each
other whole messages, in order and without loss.
There is no server: a queue is a file, and every \fBipcq\fR process opens it, does its work under
a lock, and leaves.
.PP
A \fImessage\fR is 0 or more bytes, any bytes.
It is \fIready\fR when it can be got.
\fBipcq get\fR \fIleases\fR it while it writes it out: nobody else sees it then, and it is ready again
if that process fails or dies.
With \fB\-\-lease\fR the lease goes on after that, until \fBipcq ack\fR says that the message is done with,
\fBipcq nack\fR gives it back, or its time is up.
A message that is given back may be \fIdelayed\fR, which is ready later, and one that comes back too often
is \fIdead\fR: kept aside for a person to look at.
A queue that is \fIclosed\fR refuses further messages, and gives those it has until it is
\fIdrained\fR.
.PP
Each command has a manual page of its own, named in the list below.
"#;

const IPCQ_SECTIONS: &str = r#".SH QUEUES
A queue has a \fINAME\fR, or is given as the \fIPATH\fR of its file.
.PP
A name has up to 200 of the letters A to Z and a to z, the digits, and \(oq.\(cq, \(oq_\(cq and
\(oq\-\(cq, and starts with a letter, a digit or \(oq_\(cq.
It is the file of that name in the directory \fB$IPCQ_DIR\fR, or, if that is not set, in
\fI/dev/shm/ipcq\-UID\fR, where \fIUID\fR is the number of the user.
On a system without \fI/dev/shm\fR it is \fI$TMPDIR/ipcq\-UID\fR, or \fI/tmp/ipcq\-UID\fR.
Nothing else in the environment counts, so a script meets its queues from cron, from make and
from a login shell.
What is in \fI/dev/shm\fR is gone after a reboot.
.PP
Whatever has a \(oq/\(cq in it is the path of the file itself: \fI./jobs\fR or \fI/var/spool/x/jobs\fR.
Such a queue can be on a disk, and is then still there after a reboot.
Its directory has to exist; that of named queues is made when it is missing.
.PP
A URL like \fIredis://host:6379/0/jobs\fR is a queue on a Redis or Valkey server, which several machines can share.
With \fIredis://host:6379/0\fR in \fB$IPCQ_DIR\fR all names are queues there; see
.BR ipcq\-redis (7).
.PP
The directory of named queues is made with mode 0700, and a queue with mode 0600 unless
\fBipcq create \-\-mode\fR says otherwise.
A queue of somebody else is used only if it is shared with a group of yours and is neither in the default
directory nor where anyone can put files, as in \fI/tmp\fR.
So a group shares queues in a directory that its members, and nobody else, can write to, each
made with \fBipcq create \-\-mode 660\fR.
A symbolic link is never followed in place of the file, and on the way to it only if it belongs to you or
to root and is in a directory that nobody else can write to.
.PP
A queue has two limits, fixed when it is created.
Its capacity is the number of bytes that all its messages may have together, 64 MiB if nothing
else is said; the number of its messages is bounded by the same figure.
The number of messages that wait can be limited as well.
A queue that is full makes \fBipcq put\fR wait.
Memory, or space on disk, is taken as messages come, and most of it is given back when the queue
has drained.
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
Nothing happened in the time given: there was no message (get), or no room (put), or another process kept the
queue locked.
.TP
.B 2
The command line was wrong, or something failed.
One line on standard error says what, why, and what to do.
.TP
.B 3
The queue is closed: a put was refused, or a get found it drained.
.TP
.B 4
There is no such queue, or it was removed meanwhile.
.TP
.B 5
Everything has been finished with (join) or worked on (work), but some messages are dead.
.TP
.B 126\fR, \fB127
A command cannot be run, or is not there (work).
.PP
A process that is ended by a signal dies of that signal, so that a shell sees 128 and its number: 130
for Ctrl\-C.
When whoever reads the output has gone, it dies quietly of SIGPIPE.
.SH ENVIRONMENT
.TP
.B IPCQ_DIR
The directory of named queues, or the URL of a database on a server; a directory is best given from the root on, or it
depends on the directory in which a script is started.
Empty is the same as not set.
.TP
.B TMPDIR
Takes the place of \fI/tmp\fR on systems without \fI/dev/shm\fR.
.TP
.BR IPCQ_REDIS_PASSWORD \", \" IPCQ_REDIS_PASSWORD_FILE \", \" IPCQ_REDIS_PRESENCE
What queues on servers need to know; see
.BR ipcq\-redis (7).
.TP
.B IPCQ_COMPLETE
Set by the completion scripts when they ask for completions.
.SH GUARANTEES
.TP
Order
Messages are got in the order in which their puts completed, however many producers and
consumers there are.
A message that comes back goes to its old place.
.TP
Whole or not at all
No message is torn, merged with another or half visible, whoever dies when.
The arguments of one \fBipcq put\fR are put all at once, unless they can never fit together.
.TP
Nothing is lost, nothing hangs
A process may be killed at any moment, by SIGKILL too.
The next one that uses the queue repairs what is left, without a time\-out and without a tool.
.TP
A get ends after the write
A message leaves the queue only when it has been written in full to standard output or the file.
If that fails, it goes back; of several, those that were written in full are done.
.TP
Bounded
A queue never holds more than its limits allow.
Taking messages and closing never fail for want of space.
.TP
No polling
A process that waits sleeps, and is woken when a message, room or the end comes.
.TP
Bad files are errors
A file that is damaged, truncated or no queue at all gives exit status 2 and the name of what is wrong.
.PP
.BR ipcq\-guarantees (7)
has all of them in full, how each is tested, and what they assume.
.PP
What is \fInot\fR promised:
.IP \(bu 2
\fIExactly once.\fR
A process that is killed after its last write, and before it could note that in the queue, has
delivered messages that will be delivered again: at least once.
With \fB\-\-at\-most\-once\fR it is the other way round.
.IP \(bu 2
\fIThat anybody has read what was written.\fR
A pipe holds up to 64 KiB that its reader may never read.
.IP \(bu 2
\fIA crash of the whole system.\fR
Queues in \fI/dev/shm\fR are gone then; one on a disk may have lost its last messages or be damaged, unless it was
created with \fB\-\-durable\fR.
.IP \(bu 2
\fISeveral machines.\fR
A queue on a network file system is refused.
.SH FILES
.TP
.I /dev/shm/ipcq\-UID/NAME
The queue \fINAME\fR of the user with the number \fIUID\fR; see
.BR ipcq\-segment (5).
"#;

const CREATE: &str = r#"\fBipcq create\fR makes an empty queue.
Of several processes that create the same queue at the same moment, one succeeds; with
\fB\-\-exist\-ok\fR all do.
The limits cannot be changed later.
.PP
The capacity bounds the bytes of all messages, those that a consumer has and has not finished with
included, without what delimits them.
It bounds the number of messages, too, for the sake of empty ones.
\fB\-\-max\-items\fR bounds the messages that wait; those that a consumer has do not count, and those
that come back are never refused.
.PP
A size is a number of bytes, or one followed by K, M, G or T (powers of 1024, also written KiB and so on), or by
KB, MB, GB or TB (powers of 1000), up to 512G.
The mode lets the owner read and write, and nobody execute: 600 keeps a queue to yourself, 660 shares it with
a group: that of its directory, if you are a member and the group can write there, else your own.
.PP
With \fB\-\-durable\fR a \fBput\fR returns only when its messages are on the disk, and a message that was got
does not come again, even if the power fails then.
That takes a write to the disk for each put and two for each get; of a stream, all that has arrived
meanwhile is written at once.
Such a queue has to be a file on a disk: name it with a \(oq/\(cq, or set \fBIPCQ_DIR\fR.
A file system in memory, as that of \fI/dev/shm\fR, is refused.
.PP
With \fB\-\-max\-attempts\fR a message that was leased for the \fIN\fRth time and comes back from that, because it
is given back, its time is up or its owner died, is dead; see
.BR ipcq\-peek (1).
What is dead counts against the capacity until it is retried or purged.
\fB\-\-lease\fR is the time of a \fBget \-\-lease\fR that does not name one.
With \fB\-\-auto\-close\fR the queue is closed when its last producer is gone, in whatever way it went; see
.BR ipcq\-produce (1).
.PP
\fBipcq put\fR and \fBipcq get\fR create a queue with the default limits themselves if they are
told \fB\-\-create\fR.
"#;

const CREATE_EXIT: &str = r#".SH EXIT STATUS
0 if the queue has been created or, with \fB\-\-exist\-ok\fR, is there; 2 if it exists already, or on any other error.
"#;

const PUT: &str = r#"\fBipcq put\fR puts messages at the end of a queue:
.IP \(bu 2
each argument after the queue's name is one message;
.IP \(bu 2
without such arguments, all of standard input is one message, byte for byte;
.IP \(bu 2
with \fB\-\-lines\fR, each line of standard input is one, without its newline;
.IP \(bu 2
with \fB\-\-null\fR, each piece of standard input that ends with a NUL is one, without it.
.PP
A last line or piece that nothing ends counts.
.PP
Lines and pieces are put as they arrive: what has been read in full is visible to consumers at
once, and input that comes fast moves in large runs.
The arguments of one command are put together: all of them at once, or, if there is not enough room in time,
none.
Only if they can never fit together are they put one part after the other.
.PP
A put of lines or pieces is a producer of the queue until it ends, which one that was created with
\fB\-\-auto\-close\fR takes note of; see
.BR ipcq\-produce (1).
.PP
While there is no room, \fBipcq put\fR waits; \fB\-\-timeout\fR limits each of its waits.
If the time is over, what has been put stays in the queue, and a line on standard error tells how much that is.
.PP
A message larger than the queue's capacity, or with \fB\-\-json\fR one that is not valid JSON, is an
error that names it: what came before it has been put, and nothing after it.
A message that starts with \(oq\-\(cq has to follow \fB\-\-\fR.
.PP
With \fB\-\-json\fR, white space between the tokens of a message is removed; numbers, strings
and the order of keys stay as they were written.
"#;

const PUT_EXIT: &str = r#".SH EXIT STATUS
0 if all messages have been put, 1 if there was no room for all in the time given, 3 if the queue is
closed, 4 if there is no such queue or it was removed while waiting, 2 on any other error.
"#;

const GET: &str = r#"\fBipcq get\fR takes messages from the front of a queue and writes them to standard output or a
file.
It takes one, and waits for it.
.B \-n
takes that many, as they come;
.B \-\-all
takes those that are there now;
.B \-\-follow
takes everything until the queue is closed and drained.
.PP
Of several queues it takes from the first that has a message, in the order in which they are named, and waits
for all of them at once.
The end is when all are closed and drained.
.PP
A message leaves the queue when it has been written in full.
If the process dies before that, or whoever reads its output does, or the disk is full, the message is ready again
in its old place.
With \fB\-\-at\-most\-once\fR it leaves before it is written, and may be lost.
.PP
The time\-out counts from the start: with \fB\-n\fR for all messages together.
With \fB\-\-follow\fR it limits each wait instead, and so ends a queue on which nothing happens any more.
\fB\-\-all\fR does not wait, unless a time\-out is given; then it waits for the first message only.
.PP
A file given by \fB\-\-output\fR is emptied when the first message comes, and not touched if none does.
"#;

const GET_SECTIONS: &str = r#".SH OUTPUT
A message is given back as it was put: one that came as an argument or as a line is written with a newline after it; one
that was a whole standard input is written byte for byte.
.B \-\-null
ends each message with a NUL instead;
.B \-\-raw
adds nothing to any.
.PP
With \fB\-\-json\fR each message is an object on a line of its own:
.PP
.RS 4
.EX
{"id":"7","attempt":1,"body":"hello"}
.EE
.RE
.PP
\fBid\fR is a string that no other message of the queue ever has.
\fBattempt\fR is 1 when the message is handed out for the first time.
\fBbody\fR is the JSON value itself if the message was put with \fB\-\-json\fR, else a string; if the message
is not UTF\-8, there is \fBbody_base64\fR in its place.
.PP
With \fB\-\-shell\fR each message is assignments for \fBeval\fR, in quotes that nothing in a message can
leave:
.TP
.B ipcq_id\fR, \fBipcq_attempt\fR, \fBipcq_body
As in JSON.
.TP
.B ipcq_body_base64
Only for a message with a NUL in it, which no shell variable can hold; \fBipcq_body\fR is then empty.
.TP
.BI msg_ KEY
For a message that is a JSON object: one for each key that is made of ASCII letters, digits and
\(oq_\(cq.
A string is given without its quotes, null as nothing, anything else as JSON.
.PP
A variable of an earlier message stays set if a later one has no such key.
The status of \fBeval "$(ipcq get ...)"\fR is that of the assignments, or 0; to notice the end of a queue, assign first:
.PP
.RS 4
.EX
while message=$(ipcq get jobs \-\-shell)
do
    eval "$message"
    echo "$msg_name"
done
.EE
.RE
.SH LEASES
With \fB\-\-lease\fR a message stays in the queue when it has been written, invisible to others, and what becomes of it
is said by its id: \fBipcq ack\fR removes it, \fBipcq nack\fR gives it back, \fBipcq extend\fR buys time.
If nothing is said, it is ready again by itself, in its old place, as soon as the lease has run for \fIDUR\fR or, with
\fB\-\-owner\fR, the process \fIPID\fR is dead, whichever is first.
Its attempt is then one more.
.PP
Without \fIDUR\fR the lease runs for the time that the queue was created with (\fBipcq create \-\-lease\fR); if
that is none, as long as its owner lives; and if it has no owner, for five minutes.
Words after \fB\-\-lease\fR are taken for \fIDUR\fR, so name the queue first.
.PP
The id is that of the message, and from the second time on that it is handed out has the number of times after it, as
in \fB17\fR and \fB17.2\fR: who comes late with the id of a lease that is over cannot end that of somebody else.
It is shown in three ways:
.TP
.B \-\-shell
As \fBipcq_id\fR, with the name of the queue as \fBipcq_queue\fR.
.TP
.B \-\-json
As \fBid\fR, with the name of the queue as \fBqueue\fR.
.TP
.BI \-\-output " FILE"
The message goes to the file, and the id to standard output, each on a line of its own.
.PP
A script that works on one message after the other, and whose message is ready again if it dies:
.PP
.RS 4
.EX
while message=$(ipcq get jobs \-\-lease \-\-owner $$ \-\-shell)
do
    eval "$message"
    if echo "working on $ipcq_body"
    then ipcq ack jobs "$ipcq_id"
    else ipcq nack jobs "$ipcq_id" \-\-delay 30s
    fi
done
.EE
.RE
.PP
A message that is leased may come back, so a closed queue is not drained before it is acknowledged or dead.
.SH EXIT STATUS
0 if messages have been written, even if fewer than \fB\-n\fR asked for, and at the end of \fB\-\-follow\fR; 1 if the time
was over first; 3 if the queue is closed and drained and gave nothing; 4 if there is no such queue or
it was removed while waiting; 2 on any other error.
"#;

const ACK: &str = r#"\fBipcq ack\fR ends leases that \fBipcq get \-\-lease\fR handed out: the messages are done with, and leave the queue.
.PP
\fIID\fR is what \fBipcq get \-\-lease\fR showed, as \fB17\fR, or \fB17.2\fR for a second attempt.
Of several ids all are acknowledged or, if one of them is not that of a lease now, none: it may have run out, have been
ended already, or never been; the message may be leased to another by now, under another id.
An id is never used again.
"#;

const NACK: &str = r#"\fBipcq nack\fR ends leases that \fBipcq get \-\-lease\fR handed out: the messages are not done with, and
are ready again in their old places, at once or after \fB\-\-delay\fR.
A message that has had as many attempts as the queue was created with (\fBipcq create \-\-max\-attempts\fR) is
dead instead; see
.BR ipcq\-peek (1).
.PP
\fIID\fR is what \fBipcq get \-\-lease\fR showed.
Of several ids all are given back or, if one of them is not that of a lease now, none.
"#;

const EXTEND: &str = r#"\fBipcq extend\fR lets leases that \fBipcq get \-\-lease\fR handed out run for \fIDUR\fR from now on, be that
more or less than they had left.
A lease with an owner still ends with that process.
.PP
\fIID\fR is what \fBipcq get \-\-lease\fR showed.
Of several ids all are extended or, if one of them is not that of a lease now, none.
"#;

const LEASE_EXIT: &str = r#".SH EXIT STATUS
0 if it is done for all; 2 if one of the ids is not that of a lease now, and nothing was changed, or on any other error;
4 if there is no such queue.
"#;

const JOIN: &str = r#"\fBipcq join\fR waits until every message that was put before it started has been finished with: it was got, it
was acknowledged, it was removed, or it is dead.
A message that is leased or delayed may come back, and is waited for.
What is put meanwhile is not, so producers may go on.
.PP
If messages of the queue are dead then, a line on standard error says how many, and the exit status is 5.
"#;

const JOIN_EXIT: &str = r#".SH EXIT STATUS
0 if all has been finished with and nothing is dead; 1 if the time was over first; 5 if all has been finished with, but
some messages of the queue are dead; 4 if there is no such queue or it was removed while waiting; 2 on any other error.
"#;

const PRODUCE: &str = r#"\fBipcq produce\fR runs a command and puts each line that it prints as a message, as it comes; with \fB\-\-null\fR
each piece that ends with a NUL.
As long as the command runs, \fBipcq produce\fR is a \fIproducer\fR of the queue, as \fBipcq put \-\-lines\fR and
\fBipcq put \-\-null\fR are while they run.
.PP
A queue that was created with \fB\-\-auto\-close\fR closes itself when the last of its producers is gone, whether
it ended or was killed: consumers get what is left, and end.
That is the end of file of a pipe.
A queue that has not had a producer yet is not closed.
Where one producer may end before the next has started, keep the queue open with one that lasts longer:
.PP
.RS 4
.EX
ipcq produce jobs \-\- sh \-c \(aq
    ipcq produce jobs \-\- ls here &
    ipcq produce jobs \-\- ls there &
    wait\(aq
.EE
.RE
.PP
If a message is refused, because the queue is closed or removed, cannot hold it, or has no room in time,
\fBipcq produce\fR ends, and ends the command with SIGPIPE, as a pipe does.
A line on standard error says why.
"#;

const PRODUCE_EXIT: &str = r#".SH EXIT STATUS
That of the command, or 128 and the number of the signal that killed it; 127 if there is no such command, 126 if it cannot be
run; 3 if the queue is closed, 1 if there was no room in the time given, 4 if there is no such queue or it was
removed, 2 on any other error.
"#;

const PEEK: &str = r#"\fBipcq peek\fR shows the first messages of a queue and takes none.
.PP
Those that are ready are shown as \fBipcq get\fR would write them, in the order in which they would be got.
Of those that are leased, delayed or dead there is a line for people for each: its id, how often it was
handed out, what becomes of it or why it is dead, and its beginning.
The id of a leased message is that of the lease, by which it can be acknowledged or given back.
.PP
A message is \fIdead\fR when it comes back from its last attempt (see \fBipcq create \-\-max\-attempts\fR).
It stays in the queue, with the reason, until it is retried or purged; nobody gets it, and for \fBipcq get\fR and
\fBipcq join\fR it is finished with.
"#;

const PEEK_SECTIONS: &str = r#".SH OUTPUT
With \fB\-\-json\fR each message is an object on a line of its own:
.PP
.RS 4
.nf
{"id":"7","state":"dead","attempt":3,"body":"hello","died_at":1795489452.086,"reason":{"cause":"given back","text":""}}
.fi
.RE
.PP
\fBid\fR, \fBbody\fR and \fBbody_base64\fR are as \fBipcq get \-\-json\fR shows them; \fBattempt\fR is how often the
message has been handed out.
\fBstate\fR is \fBready\fR, \fBleased\fR, \fBdelayed\fR or \fBdead\fR.
A leased message has \fBuntil\fR, when it comes back by itself, and \fBholder\fR, the process with which its lease
ends, each null if there is none; a delayed one has \fBready_at\fR; a dead one has \fBdied_at\fR and
\fBreason\fR.
All times are seconds since 1970\-01\-01 00:00:00 UTC.
.SH EXIT STATUS
0 if it could look, also if there was nothing to see; 4 if there is no such queue; 2 on any other error.
"#;

const RETRY: &str = r#"\fBipcq retry\fR makes dead messages ready again, in their old places and with their first attempt before them:
those that are named, or with \fB\-\-all\fR every one.
\fIID\fR is what \fBipcq peek \-\-dead\fR shows.
Of several ids all are retried or, if one of them is not that of a dead message, none.
"#;

const RETRY_EXIT: &str = r#".SH EXIT STATUS
0 if all that are named are ready again, and with \fB\-\-all\fR also if none was dead; 2 if one of them is not dead, and
nothing was changed, or on any other error; 4 if there is no such queue.
"#;

const PURGE: &str = r#"\fBipcq purge\fR removes messages that nobody has: without an option all that wait, ready or delayed; with
\fB\-\-delayed\fR those that are delayed; with \fB\-\-dead\fR those that are dead.
What a consumer has is never removed.
There is room for others then, and those who wait for that are woken.
.PP
A message whose bytes have changed since they were put, because a disk failed or a program wrote to the queue's file, is
given to nobody: every get that comes to it fails, and says so.
With \fB\-\-damaged\fR such messages are removed, from the first of the queue up to one that can be got; those that were put
together with a damaged one, as lines of a stream, are lost with it.
"#;

const PURGE_EXIT: &str = r#".SH EXIT STATUS
0 if there are none left, 4 if there is no such queue, 2 on any other error.
"#;

const WORK: &str = r#"\fBipcq work\fR runs \fICOMMAND\fR once for each message of a queue, several at a time, and lets what the
command says decide what becomes of the message.
.PP
The message is the standard input of the command, byte for byte: without the newline of a line, and open from the
start, as a file would be.
A command need not read it.
Each \(oq{}\(cq in an argument is replaced by the message; in \fICOMMAND\fR itself it is not, so no message decides which
program is run.
Do not put \(oq{}\(cq into a script for \fBsh \-c\fR, which would run what is in the message: give it as a further
argument and use \fB"$1"\fR, or read the input.
.PP
What the command says with its exit status:
.TP
.B 0
The message is done with and leaves the queue.
.TP
.B 100
Never try it again: the message is dead, which is to be kept aside.
.TP
.BR "anything else" ", or a signal that kills it"
It has failed.
The message is tried again, after a while that is given by \fB\-\-backoff\fR and twice as long after each further
attempt, up to an hour, or up to the first wait if that is longer; with \fB0\fR there is no wait.
With its last attempt, see \fB\-\-max\-attempts\fR, it is dead.
.PP
With a message that is dead the queue keeps the exit status or signal, and the last line of the command\(aqs standard error.
A message that cannot be an argument, because it has a NUL or is too long, is dead as well.
.PP
The messages that a worker has are leased to it: nobody else sees them, and if it dies they come back.
Several workers can share a queue.
A worker takes a message only when it can start its job.
Where the system does not let it start as many jobs as \fB\-\-jobs\fR says, for want of open files
(\fBulimit \-n\fR), processes or memory, it says so and runs fewer.
.PP
With \fB\-\-out\fR, what a command writes to standard output becomes one message in \fIQUEUE2\fR, byte for byte, if its
exit status is 0.
That happens together with the end of the message it worked on, or not at all, also if the worker is killed: so each
message leads to exactly one in \fIQUEUE2\fR, though the command may have been run more than once.
While \fIQUEUE2\fR is full the worker waits.
Output that \fIQUEUE2\fR can never hold makes the message dead.
.PP
A worker ends when the queue is closed and drained, or when there was nothing to do for the time given by
\fB\-\-timeout\fR; with 0, when no message is ready.
Messages that wait for their next attempt are no work until then.
At the end a line on standard error tells how many messages are done, how often one was tried again, and how many
are dead.
"#;

const WORK_SECTIONS: &str = r#".SH OUTPUT
What a job writes to standard output and to standard error is kept until the job ends, and then written as one piece
to each.
Much of it waits in a file without a name in \fB$TMPDIR\fR, or \fI/tmp\fR.
With \fB\-\-tag\fR each line is written as soon as it is complete, after the id of the message and a tab.
What processes that a job has left behind write after its end is lost.
.PP
A line that a job has not ended is ended before \fBipcq\fR itself says something in the same place.
Only after its output has been written is a message done with.
If that fails, the message is given back and the worker ends: without an error, by SIGPIPE, if its reader has gone.
.SH SIGNALS
On SIGTERM, SIGINT (Ctrl\-C) or SIGHUP a worker takes no more messages, waits for the jobs that run, reports, and then
dies of that signal.
A second one is passed on to the jobs, and each further one too; a message whose job fails after that is given back,
and does not become dead by it.
Output that nobody takes is given up then, too.
A signal that was ignored when the worker was started stays ignored.
.PP
Each job is a process group of its own, so that a Ctrl\-C in a terminal reaches the worker only and its jobs can
finish.
For the same reason a Ctrl\-Z stops the worker only, and a job cannot read from the terminal.
.PP
A worker that is killed with SIGKILL, or crashes, takes nothing with it: its messages are ready again within a quarter
of a second.
Its jobs go on, for nobody is there to end them, and one may still be at work on a message while another worker has the
same message already.
A job for which that matters can look whether its parent still lives.
What such a job writes fails with SIGPIPE.
.SH WITH MAKE
In a recipe that starts with \(oq+\(cq, as in
.PP
.RS 4
.EX
pictures:
        +ipcq work pictures \-t 0 \-\- convert {} {}.png
.EE
.RE
.PP
a worker asks the job server of make before it runs a second job, so that with \fBmake \-j8\fR all recipes and
workers together run eight at a time.
.B \-\-jobs
then only limits the part of this worker.
A token is held for one job at a time and by no worker that waits.
Without the \(oq+\(cq, make keeps its job server to itself; a worker then says so and runs one job at a time, or as
many as \fB\-\-jobs\fR says.
Under \fBmake \-j1\fR one job runs at a time, and under \fBmake \-n\fR, \fB\-q\fR or \fB\-t\fR, which run such a
recipe all the same, a worker does nothing.
A worker that is killed with SIGKILL cannot give its tokens back, as with every program that uses the job server.
.SH ENVIRONMENT
A job finds in its environment what the worker has in its own, and:
.TP
.B IPCQ_ID
The id of the message, which stays the same when it is tried again.
.TP
.B IPCQ_QUEUE
The name of the queue, as it was given to the worker.
.TP
.B IPCQ_ATTEMPT
1 when the message is worked on for the first time.
.PP
The worker itself reads \fBMAKEFLAGS\fR, as above, and \fBTMPDIR\fR.
.SH EXIT STATUS
0 if no message became dead; 5 if one did; 126 if \fICOMMAND\fR cannot be run and 127 if there is no such program,
whose message is then given back; 4 if there is no such queue or it was removed meanwhile; 2 on any other error.
After a signal the worker dies of it.
"#;

const CLOSE: &str = r#"\fBipcq close\fR ends a queue: from now on puts are refused with exit status 3, those that wait for room
included.
Messages that are in the queue can still be got.
Once it is drained, \fBipcq get\fR ends: with exit status 3, or with 0 if it was told \fB\-\-follow\fR.
.PP
To close a queue that is closed already does nothing.
A closed queue cannot be opened again; remove it, and create a new one.
"#;

const CLOSE_EXIT: &str = r#".SH EXIT STATUS
0 if the queue is closed, 4 if there is no such queue, 2 on any other error, also if another process keeps the queue
locked for ten seconds.
"#;

const RM: &str = r#"\fBipcq rm\fR removes queues and every message in them.
Processes that wait for one of them, or use it later on, end with exit status 4; a new queue of that name has nothing to do
with the old one.
.PP
A queue that is damaged, or of another version of the format, can be removed as well.
A file that is no queue is left alone.
"#;

const RM_EXIT: &str = r#".SH EXIT STATUS
0 if all have been removed; 4 if one was not there, unless \fB\-\-force\fR was given; 2 if one could not be removed.
The others are removed all the same.
"#;

const LS: &str = r#"\fBipcq ls\fR lists the queues in the directory of named queues, sorted by name, a line for each: its name, the numbers
of its ready, leased, delayed and dead messages, their bytes, its capacity, and its state.
On a terminal there are headings, sizes in K, M, G and T (of 1024), a bar that shows how full a queue is, how many messages
are put and got a second, and the age of the oldest ready message; and colours, unless \fBNO_COLOR\fR is set.
A narrow terminal shows less of that, and at last only the beginnings of names.
With \fB\-\-leases\fR the processes that hold messages follow, with how many and since when, and how many messages are leased
to no process; the messages themselves are shown by
.B ipcq peek \-\-leased .
Queues that are given by a path are not listed.
.PP
The state is \fIopen\fR, \fIclosed\fR (puts are refused, and there is something left),
\fIdrained\fR (closed, and nothing is left), \fIpaused\fR, or \fIput\-paused\fR or \fIget\-paused\fR.
.PP
Nothing is created or changed by listing, not even the directory; what a process left behind that was killed is shown as the
next command will find it.
For a queue that another process keeps locked, \fBipcq ls\fR waits a moment, or a second in all, and not at all if that
process is stopped; a line on standard error then says who it is.
"#;

const LS_EXIT: &str = r#".SH EXIT STATUS
0 if all queues have been listed, also if there are none; 2 if something in the directory could not be read as a queue, or
was locked.
The others are listed all the same; a line on standard error counts and names those that are not.
"#;

const STAT: &str = r#"\fBipcq stat\fR shows the figures of queues, as they are at one instant:
.TP
.B path
The queue's file.
.TP
.B ready\fR, \fBleased\fR, \fBdelayed\fR, \fBdead
Messages that can be got now; that consumers have and have not finished with; that become ready later;
that were given up on.
.TP
.B bytes\fR, \fBcapacity
Bytes of all messages, and what they may be.
.TP
.B max_items
Messages that may wait; in JSON null if there is no limit.
.TP
.B durable
In JSON: true if the queue survives a power failure; see
.BR ipcq\-create (1).
.TP
.B closed\fR, \fBpaused\fR, \fBputs_paused\fR, \fBgets_paused
True or false in JSON; without, there is the state in a word, as in
.BR ipcq\-ls (1).
.TP
.B put\fR, \fBgot\fR, \fBreturned
Messages that have been put and delivered since the queue was created, and how often one came back.
.TP
.B expired\fR, \fBdied\fR, \fBpurged
Leases that ran out, messages that were given up on, and messages that were purged since then.
Ready, leased, delayed and dead messages together are always what was put, less what was got and purged.
.TP
.B put_rate\fR, \fBgot_rate
Messages put and delivered a second in the last five seconds or more.
.TP
.B high_water
The most bytes there ever were.
.TP
.B oldest
Seconds that the oldest ready message has been in the queue; in JSON null if there is none.
.TP
.B created
In JSON: when the queue was created, in seconds since 1970.
.TP
.B producers
Producers whose end closes the queue, if it closes itself.
.TP
.B waiting_consumers\fR, \fBwaiting_producers\fR, \fBwaiting_joiners
The numbers of the processes that wait for messages, for room, and for the end of all work; where more than 64 wait for the
same, of some of them.
.TP
.B holders
The processes that hold messages: \fBpid\fR, \fBcommand\fR, \fBmessages\fR, for how many \fBseconds\fR, and whether it
\fBlives\fR.
.PP
With \fB\-\-json\fR there is an object on a line of its own for each queue, with \fBname\fR and these keys.
With \fB\-\-prometheus\fR the same figures are in the text format of that monitoring system, under names that begin with
\fBipcq_\fR and stay what they are.
With \fB\-\-watch\fR they are shown again every second, or as often as that says.
"#;

const STAT_EXIT: &str = r#".SH EXIT STATUS
0 if all queues have been shown, 4 if one is not there, 2 on any other error, also if another process keeps one
locked for a second.
The others are shown all the same.
"#;

const TOP: &str = r#"\fBipcq top\fR shows the queues on the whole terminal, again and again, and steers them as keys are pressed.
Without \fIQUEUE\fR it shows all in the directory of named queues, also those that are made later; with it only these,
of which some need not be there yet.
.PP
Above is a list with a line for each queue, with as many of the columns of
.BR ipcq\-ls (1)
as fit, and how deep the queue was at the last looks: how many messages waited, ready or delayed.
Below are details of the queue that is selected: the curves of its depth, and of the messages put and finished with a
second; what has happened since it was created; who holds messages since when, and who waits; and its first messages, those
that are ready, or leased, delayed or dead.
Of messages that are large, few are looked at.
.PP
A queue that cannot be read, because another process keeps it locked or because it is damaged, is shown as such, with the
reason in its details and with the figures that it had before; it does not hold up the others.
.PP
To look costs the queues what
.BR ipcq\-stat (1)
does, and the selected one what
.BR ipcq\-peek (1)
does.
However many queues there are, no more than half of the time is spent on looking.
Nothing is taken.
.PP
The terminal has to have 40 columns and 8 lines; with less than 16 lines, either the list or the details are shown.
"#;

const TOP_SECTIONS: &str = r#".SH KEYS
.TP
.B Up\fR, \fBDown\fR, \fBk\fR, \fBj
Select another queue.
.TP
.B PgUp\fR, \fBPgDn
Select one that is ten lines further up or down.
.TP
.B Home\fR, \fBEnd\fR, \fBg\fR, \fBG
Select the first or the last one.
.TP
.B s\fR, \fBS
Sort by the next column; the other way round.
The one by which they are sorted is marked with \(oqv\(cq or, the other way round, \(oq^\(cq.
.TP
.B Enter
Show the list and the details, only the list, only the details.
.TP
.B Tab
Show messages that are ready, leased, delayed, dead.
.TP
.B p\fR, \fBr
Pause the queue, puts and gets; resume it.
.TP
.B c
Close it for good, after a question.
.TP
.B t
Try its dead messages again: all of them are ready then.
.TP
.B x\fR, \fBX
Purge it: remove all messages that wait, ready or delayed, or those that are dead, after two questions.
The second is answered with a capital \(oqY\(cq, so that no key does it that is held down.
.TP
.B ?\fR, \fBh
Show the keys.
.TP
.B Esc
Back to the list and the details.
.TP
.B q\fR, \fBCtrl\-C
Quit.
.PP
What is pasted is ignored.
.SH SIGNALS
On SIGINT (Ctrl\-C), SIGTERM, SIGHUP or SIGQUIT the terminal is left as it was found, and the program dies of that
signal.
On SIGTSTP (Ctrl\-Z) the terminal is left until the program is continued.
.SH ENVIRONMENT
.TP
.B NO_COLOR
If it is set and not empty, no colours are used.
.TP
.B TERM
With \fBdumb\fR nothing can be shown, which is an error.
.SH EXIT STATUS
0 after \fBq\fR; 2 if standard input or output is no terminal, or on any other error.
"#;

const PAUSE: &str = r#"\fBipcq pause\fR lets puts wait as if the queue were full, and gets as if it were empty, until
.B ipcq resume
lets them go on.
With \fB\-\-put\fR or \fB\-\-get\fR it is only those.
Who tries meanwhile waits, or gives up when his \fB\-\-timeout\fR is over, with exit status 1.
Messages that consumers have already are finished with as usual.
"#;

const RESUME: &str = r#"\fBipcq resume\fR lets puts and gets go on that
.B ipcq pause
has made wait; with \fB\-\-put\fR or \fB\-\-get\fR only those.
Everyone who waits is woken.
That the queue was not paused is no error.
"#;

const STEER_EXIT: &str = r#".SH EXIT STATUS
0 if it is so now, 4 if there is no such queue, 2 for anything else.
"#;

const MV: &str = r#"\fBipcq mv\fR moves the messages that are ready now, or at most \fIN\fR of them, to the end of another queue, in
their order and as they were put.
With \fB\-\-dead\fR it moves messages that were given up on; in the other queue they are ready, and as new.
.PP
Each message is in exactly one of the two queues, also if \fBipcq mv\fR is killed; what it was about to move is
ready again in its old place.
Its id is one of the other queue afterwards.
.PP
If there is no room, it waits, until \fB\-\-timeout\fR is over if that is given.
"#;

const MV_EXIT: &str = r#".SH EXIT STATUS
0 if all was moved, 1 if there was no room in time, 3 if the other queue is closed, 4 if a queue is not
there, 2 for anything else.
What has been moved stays moved.
"#;

const WAIT: &str = r#"\fBipcq wait\fR sleeps until a message can be got (\fB\-\-ready\fR), no message is ready or delayed
(\fB\-\-empty\fR), puts are refused (\fB\-\-closed\fR), or there is a queue of that name (\fB\-\-exists\fR).
Nothing is taken, so when it has ended things may be different again.
.PP
Consumers may still have messages when a queue is empty: until everything has been finished with,
.B ipcq join
waits.
"#;

const WAIT_EXIT: &str = r#".SH EXIT STATUS
0 if it is so, 1 if it was not in time, 4 if there is no such queue, but for \fB\-\-exists\fR, 2 for anything else.
"#;

const VERIFY: &str = r#"\fBipcq verify\fR looks at everything in a queue, in use or not: every field, every list, the
checksum of every message, and whether all space is accounted for.
It changes nothing, not even what it finds unfinished, and a queue that may only be read can be verified as well.
Others wait while it looks, for about a tenth of a second for 100 MiB of messages.
.PP
It prints a line for each queue, with what is in it, and then a line for each problem, which begins with the
name that the field has in
.BR ipcq\-segment (5).
Two things are noted and are no damage: a change in the middle of which a process died, and messages
that a consumer held when it died.
The next command puts both right.
.PP
With \fB\-\-json\fR there is an object on a line of its own for each queue, with the keys
\fBname\fR, \fBpath\fR, \fBsound\fR, \fBready\fR, \fBleased\fR, \fBdelayed\fR, \fBdead\fR, \fBbytes\fR, \fBclosed\fR,
\fBunfinished\fR, \fBdead_owners\fR, \fBproblems\fR, an array of objects with \fBfield\fR and \fBproblem\fR, and
\fBmore_problems\fR, the number of those beyond the first hundred.
.PP
A queue is not damaged by processes that die, whenever that is.
What damages it is a program that writes to its file, a disk that fails, or a crash of the whole system, unless the queue
was created with \fB\-\-durable\fR.
"#;

const VERIFY_EXIT: &str = r#".SH EXIT STATUS
0 if all queues are sound, 4 if one is not there, 2 if one is damaged or could not be looked at.
The others are looked at all the same.
"#;

const COMPLETIONS: &str = r#"\fBipcq completions\fR prints a script that makes a shell complete commands, options and the names of queues.
\fISHELL\fR is \fBbash\fR, \fBzsh\fR, \fBfish\fR, \fBelvish\fR or \fBpowershell\fR.
.PP
The scripts ask \fBipcq\fR itself, so they know what the installed version knows.
Completing creates nothing.
"#;

const COMPLETIONS_FILES: &str = r#".SH FILES
Where shells look for the scripts of a user:
.TP
.I \(ti/.local/share/bash\-completion/completions/ipcq
bash, with the package bash\-completion
.TP
.I \(ti/.config/fish/completions/ipcq.fish
fish
.TP
.I \(ti/.config/elvish/rc.elv
elvish: append the script
.TP
.I _ipcq
zsh: a file of this name in a directory of \fB$fpath\fR
.TP
.I $PROFILE
PowerShell: append the script
"#;

/* A stand-in for an init that executes nothing by itself, for ptrace to make it: it keeps a service, calls the kernel in the manner
 * of its first word, and looks after each call whether anything that a call must leave alone is another than before: registers,
 * the stack, and the memory below it. What was makes it write /tmp/tampered; /tmp/rounds grows with each call.
 *   nanosleep    sleeps, and wants to sleep as long as it said
 *   read         waits in a pipe
 *   sigtimedwait waits for a signal that never comes
 *   signals      gets a real-time signal every few milliseconds, and wants each of them, until /tmp/enough is there
 *   threads      sleeps beside two other threads (64 bits only)
 * Without libc, so that it can be compiled for 32 bits where there is none; x86 only.
 */
typedef long word;

#ifdef __x86_64__
enum {
	READ = 0, WRITE = 1, OPEN = 2, CLOSE = 3, SIGACTION = 13, ACCESS = 21, PIPE = 22, NANOSLEEP = 35, CLONE = 56, FORK = 57,
	EXECVE = 59, EXIT = 60, WAIT4 = 61, KILL = 62, RENAME = 82, SIGTIMEDWAIT = 128, SIGALTSTACK = 131, CLOCK_GETTIME = 228
};

static word call(word number, word a, word b, word c, word d)
{
	register word fourth __asm__("r10") = d;
	__asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
	return number;
}

/* word guarded(word number, word a, word b, word c, word d) */
__asm__(".globl guarded, _start, restore\n"
	"guarded: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; mov %r8, %r10\n"
	"mov $-256, %rcx; 1: movq $0x5a5a5a5a, (%rsp,%rcx,8); inc %rcx; jnz 1b\n"
	"mov %rdi, %r12; mov %rsi, %r13; mov %rdx, %r14; mov %r10, %r15\n"
	"mov $0x1d1d1d1d, %rbx; mov %rsp, %rbp; mov $77, %r8; mov $78, %r9\n"
	"syscall\n"
	"cmp %r12, %rdi; jne 3f; cmp %r13, %rsi; jne 3f; cmp %r14, %rdx; jne 3f; cmp %r15, %r10; jne 3f\n"
	"cmp $0x1d1d1d1d, %rbx; jne 3f; cmp %rsp, %rbp; jne 3f; cmp $77, %r8; jne 3f; cmp $78, %r9; jne 3f\n"
	"mov $-256, %rcx; 2: cmpq $0x5a5a5a5a, (%rsp,%rcx,8); jne 3f; inc %rcx; jnz 2b; jmp 4f\n"
	"3: movq $1, tampered(%rip)\n"
	"4: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
	"_start: mov %rsp, %rdi; and $-16, %rsp; call begin\n"
	"restore: mov $15, %eax; syscall\n");
#else
enum {
	READ = 3, WRITE = 4, OPEN = 5, CLOSE = 6, SIGACTION = 174, ACCESS = 33, PIPE = 42, NANOSLEEP = 162, CLONE = 120, FORK = 2,
	EXECVE = 11, EXIT = 1, WAIT4 = 114, KILL = 37, RENAME = 38, SIGTIMEDWAIT = 177, SIGALTSTACK = 186, CLOCK_GETTIME = 265
};

static word call(word number, word a, word b, word c, word d)
{
	__asm__ volatile("int $0x80" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
	return number;
}

__asm__(".globl guarded, _start, restore\n"
	"guarded: push %ebx; push %esi; push %edi; push %ebp\n"
	"mov 20(%esp), %eax; mov 24(%esp), %ebx; mov 28(%esp), %ecx; mov 32(%esp), %edx; mov 36(%esp), %esi\n"
	"mov $-512, %edi; 1: movl $0x5a5a5a5a, (%esp,%edi,4); inc %edi; jnz 1b\n"
	"mov $0x1d1d1d1d, %edi; mov %esp, %ebp\n"
	"int $0x80\n"
	"cmp 24(%esp), %ebx; jne 3f; cmp 28(%esp), %ecx; jne 3f; cmp 32(%esp), %edx; jne 3f; cmp 36(%esp), %esi; jne 3f\n"
	"cmp $0x1d1d1d1d, %edi; jne 3f; cmp %esp, %ebp; jne 3f\n"
	"mov $-512, %edi; 2: cmpl $0x5a5a5a5a, (%esp,%edi,4); jne 3f; inc %edi; jnz 2b; jmp 4f\n"
	"3: movl $1, tampered\n"
	"4: pop %ebp; pop %edi; pop %esi; pop %ebx; ret\n"
	"_start: mov %esp, %eax; and $-16, %esp; sub $12, %esp; push %eax; call begin\n"
	"restore: mov $173, %eax; int $0x80\n");
#endif

extern word guarded(word number, word a, word b, word c, word d);
extern void restore(void);
void begin(word *stack);

enum { SIGNAL = 40, EINTR = 4, EAGAIN = 11 };
static volatile word seen;
volatile word tampered;
static char signal_stack[16384], thread_stacks[2][4096] __attribute__((aligned(16)));

static void on_signal(int number)
{
	(void)number;
	seen++;
}

static void sleep_ms(word ms)
{
	word time[2] = { ms / 1000, ms % 1000 * 1000000 };
	call(NANOSLEEP, (word)time, 0, 0, 0);
}

static word now_ms(void)
{
	word time[2] = { 0, 0 };
	call(CLOCK_GETTIME, 1, (word)time, 0, 0);
	return time[0] * 1000 + time[1] / 1000000;
}

/* Beside and renamed, so that nobody reads half a number. */
static void note(const char *path, word number)
{
	char text[24], *at = text + sizeof(text) - 1;
	word fd = call(OPEN, (word)"/tmp/note", 01 | 0100 | 01000, 0600, 0);
	*at = '\n';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	call(WRITE, fd, (word)at, text + sizeof(text) - at, 0);
	call(CLOSE, fd, 0, 0, 0);
	call(RENAME, (word)"/tmp/note", (word)path, 0, 0);
}

static word serve(void)
{
	static const char *words[] = { "/bin/sh", "/etc/service", 0 }, *environment[] = { "PATH=/bin:/sbin", 0 };
	word pid = call(FORK, 0, 0, 0, 0);
	if (!pid) {
		call(EXECVE, (word)words[0], (word)words, (word)environment, 0);
		call(EXIT, 127, 0, 0, 0);
	}
	return pid;
}

/* Writes a byte into the pipe every fifth of a second. */
static void tick(word fd)
{
	for (;;) {
		sleep_ms(200);
		call(WRITE, fd, (word)"x", 1, 0);
	}
}

/* Sends process 1 signals until there are enough, and says how many. */
static void send(word fd)
{
	word count = 0;
	while (call(ACCESS, (word)"/tmp/enough", 0, 0, 0)) {
		if (!call(KILL, 1, SIGNAL, 0, 0))
			count++;
		sleep_ms(3);
	}
	call(WRITE, fd, (word)&count, sizeof(count), 0);
	call(EXIT, 0, 0, 0, 0);
}

static void begin_thread(char *stack)
{
#ifdef __x86_64__
	/* CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD; the new one has nothing on its stack to return to. */
	word answer = CLONE;
	__asm__ volatile("syscall; test %%rax, %%rax; jnz 2f\n"
			 "1: mov $35, %%eax; lea 512(%%rsp), %%rdi; xor %%esi, %%esi; syscall; jmp 1b\n"
			 "2:" : "+a"(answer) : "D"(0x10f00L), "S"(stack), "d"(0L) : "rcx", "r11", "memory");
#else
	(void)stack;
#endif
}

void begin(word *stack)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask[8 / sizeof(long)];
	} action = { on_signal, 0x08000000 | 0x04000000 | 4, restore, { 0 } }; /* SA_ONSTACK, SA_RESTORER, SA_SIGINFO */
	struct {
		void *at;
		int flags;
		unsigned long size;
	} elsewhere = { signal_stack, 0, sizeof(signal_stack) };
	const char *manner = stack[0] > 1 ? (const char *)stack[2] : "nanosleep";
	word serving = serve(), sender = 0, rounds = 0, answer, before, sent;
	int fds[2];

	call(SIGALTSTACK, (word)&elsewhere, 0, 0, 0);
	call(SIGACTION, SIGNAL, (word)&action, 0, 8);
	call(PIPE, (word)fds, 0, 0, 0);
	if (manner[0] == 'r' && !call(FORK, 0, 0, 0, 0))
		tick(fds[1]);
	if (manner[0] == 's' && manner[3] == 'n' && !(sender = call(FORK, 0, 0, 0, 0)))
		send(fds[1]);
	if (manner[0] == 't')
		for (int i = 0; i < 2; i++) {
			word *time = (word *)(thread_stacks[i] + 2048 + 512);
			time[0] = 0;
			time[1] = 50000000;
			begin_thread(thread_stacks[i] + 2048);
		}
	for (;;) {
		word time[2] = { 0, 300000000 }, usr2[2] = { 1 << 11, 0 }, gone;
		char byte;

		before = now_ms();
		if (manner[0] == 'r') {
			answer = guarded(READ, fds[0], (word)&byte, 1, 0);
			tampered |= answer != 1;
		} else if (sender) {
			time[1] = 5000000;
			answer = guarded(NANOSLEEP, (word)time, 0, 0, 0);
			tampered |= answer != 0 && answer != -EINTR;
		} else if (manner[0] == 's') {
			answer = guarded(SIGTIMEDWAIT, (word)usr2, 0, (word)time, 8);
			tampered |= answer != -EAGAIN && answer != -EINTR;
		} else {
			answer = guarded(NANOSLEEP, (word)time, 0, 0, 0);
			tampered |= answer != 0 || now_ms() - before < 290;
		}
		if (tampered)
			note("/tmp/tampered", rounds + 1);
		note("/tmp/rounds", ++rounds);
		while ((gone = call(WAIT4, -1, 0, 1, 0)) > 0) {
			if (gone == serving)
				serving = serve();
			if (gone == sender && call(READ, fds[0], (word)&sent, sizeof(sent), 0) == sizeof(sent)) {
				if (sent == seen)
					note("/tmp/all-came", sent);
				else
					note("/tmp/tampered", sent - seen);
			}
		}
	}
}

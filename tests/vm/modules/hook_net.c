// SPDX-License-Identifier: GPL-2.0
/*
 * Puts a pointer into this module, or into a page that it allocated, into one place of the
 * network stack, as HOW says; unloading puts back what was there. What it puts in goes on to
 * what was there before, so that everything works as it did.
 *
 * With HIDE the module takes itself off the list of modules: writing 1 to its parameter
 * "restore" puts it back.
 */
#include <linux/etherdevice.h>
#include <linux/inet_diag.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rculist.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sock_diag.h>
#include <linux/version.h>
#include <net/genetlink.h>
#include <net/inet_sock.h>
#include <net/net_namespace.h>
#include <net/protocol.h>
#include <net/tcp.h>

#include "lab.h"

static char *how;
module_param(how, charp, 0444);

static bool hide;
module_param(hide, bool, 0444);

LAB_STUB();

static struct mutex *mutex;
static struct list_head *head;
static bool off_list;

static int restore_set(const char *value, const struct kernel_param *param)
{
	if (!off_list)
		return 0;
	mutex_lock(mutex);
	list_add_rcu(&THIS_MODULE->list, head);
	off_list = false;
	mutex_unlock(mutex);
	return 0;
}

static const struct kernel_param_ops restore_ops = { .set = restore_set };
module_param_cb(restore, &restore_ops, NULL, 0200);

/* --- a word that is replaced --- */

static void *word_at;
static unsigned long word_was;
static void *copy;

static int put(void *at, unsigned long value)
{
	word_at = at;
	word_was = *(unsigned long *)at;
	return lab_poke(at, &value, sizeof(value));
}

/* A pointer to a function: the stub goes on to what it was. */
static int put_stub(void *at)
{
	lab_target = *(unsigned long *)at;
	return put(at, (unsigned long)lab_stub);
}

/* A pointer to a table: a copy on the heap takes its place, with the stub in it. */
static int put_copy(void *at, size_t size, size_t slot)
{
	copy = kmemdup(*(void **)at, size, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	lab_target = *(unsigned long *)(copy + slot);
	*(unsigned long *)(copy + slot) = (unsigned long)lab_stub;
	return put(at, (unsigned long)copy);
}

/* --- what is registered --- */

static unsigned int filter(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static struct nf_hook_ops filter_ops = {
	.hook = filter, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_OUT, .priority = -77,
};

static int receive(struct sk_buff *skb, struct net_device *dev, struct packet_type *type,
		   struct net_device *orig)
{
	kfree_skb(skb);
	return 0;
}

static struct packet_type packets = { .func = receive };

static rx_handler_result_t on_rx(struct sk_buff **skb)
{
	return RX_HANDLER_PASS;
}

static struct net_device *loopback(void)
{
	return init_net.loopback_dev;
}

static int add_rx_handler(void)
{
	int r;

	rtnl_lock();
	r = netdev_rx_handler_register(loopback(), on_rx, NULL);
	rtnl_unlock();
	return r;
}

static u32 cong_ssthresh(struct sock *sk)
{
	return tcp_reno_ssthresh(sk);
}

static struct tcp_congestion_ops congestion = {
	.name = "labcong", .ssthresh = cong_ssthresh, .undo_cwnd = tcp_reno_undo_cwnd,
	.cong_avoid = tcp_reno_cong_avoid,
};

/* --- sockets: one of our own, which the kernel sees as any other --- */

static struct socket *listener;

static int make_listener(void)
{
	struct sockaddr_storage storage = {};
	struct sockaddr_in *in = (void *)&storage;
	int (*bind)(struct socket *sock, void *address, int size) = lab_symbol("kernel_bind");
	int r = sock_create_kern(&init_net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &listener);

	if (r)
		return r;
	in->sin_family = AF_INET;
	in->sin_port = htons(4711);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r = bind ? bind(listener, in, sizeof(*in)) : -ENOENT;
	return r ? r : kernel_listen(listener, 1);
}

/* --- places --- */

static int hook_netfilter_entry(void)
{
	struct nf_hook_entries *entries;
	int r = nf_register_net_hook(&init_net, &filter_ops);

	if (r)
		return r;
	entries = rcu_dereference_raw(init_net.nf.hooks_ipv4[NF_INET_LOCAL_OUT]);
	for (int i = 0; i < entries->num_hook_entries; i++)
		if (entries->hooks[i].hook == filter)
			return put_stub(&entries->hooks[i].hook);
	return -ENOENT;
}

static int dump(struct sk_buff *skb, struct nlmsghdr *message)
{
	return 0;
}

static struct sock_diag_handler diag = { .family = AF_INET, .dump = dump };

/* A handler where there is none, as long as nobody asks for the module that has it. */
static int hook_diag(bool table)
{
	void **handlers = lab_symbol("sock_diag_handlers");

	if (!handlers || handlers[AF_INET])
		return -ENOENT;
	if (!table)
		return put(&handlers[AF_INET], (unsigned long)&diag);
	copy = kmemdup(&diag, sizeof(diag), GFP_KERNEL);
	return copy ? put(&handlers[AF_INET], (unsigned long)copy) : -ENOMEM;
}

static int hook_inet_diag(void)
{
	/* struct inet_diag_handler of tcp_diag: its dump function comes first, or second. */
	void ***table = (void ***)lab_symbol("inet_diag_table");

	if (!table || !(*table)[IPPROTO_TCP])
		return -ENOENT;
	return put_copy(&(*table)[IPPROTO_TCP], 64, 16);
}

static int hook_genl(void)
{
	struct genl_family *family = lab_symbol("genl_ctrl");

	if (!family)
		return -ENOENT;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	if (family->n_split_ops)
		return put_copy(&family->split_ops, family->n_split_ops * sizeof(struct genl_split_ops),
				offsetof(struct genl_split_ops, doit));
#endif
	return put_copy(&family->ops, family->n_ops * sizeof(struct genl_ops),
			offsetof(struct genl_ops, doit));
}

static int hook_rtnl(void)
{
	struct link { void *doit, *dumpit; } ***handlers = lab_symbol("rtnl_msg_handlers");

	if (!handlers || !handlers[AF_UNSPEC])
		return -ENOENT;
	return put_stub(&handlers[AF_UNSPEC][RTM_GETLINK - RTM_BASE]->dumpit);
}

static int hook_proc(void)
{
	struct seq_operations *ops = lab_symbol("tcp4_seq_ops");

	return ops ? put_stub(&ops->show) : -ENOENT;
}

static int place(void)
{
	int r;

	if (!strcmp(how, "netfilter"))
		return nf_register_net_hook(&init_net, &filter_ops);
	if (!strcmp(how, "netfilter-entry"))
		return hook_netfilter_entry();
	if (!strcmp(how, "packet")) {
		packets.type = htons(0x88b5);
		dev_add_pack(&packets);
		return 0;
	}
	if (!strcmp(how, "packet-all")) {
		packets.type = htons(ETH_P_ALL);
		packets.af_packet_net = &init_net;	/* 7.x has no list for all of them */
		dev_add_pack(&packets);
		return 0;
	}
	if (!strcmp(how, "rx-handler"))
		return add_rx_handler();
	if (!strcmp(how, "congestion"))
		return tcp_register_congestion_control(&congestion);
	if (!strcmp(how, "proto"))
		return put_stub(&tcp_prot.recvmsg);
	if (!strcmp(how, "get-port"))
		return put_stub(&tcp_prot.get_port);
	if (!strcmp(how, "icmp"))
		return put_stub((void *)&inet_protos[IPPROTO_ICMP]->handler);
	if (!strcmp(how, "icmp-table"))
		return put_copy((void *)&inet_protos[IPPROTO_ICMP], sizeof(struct net_protocol), 0);
	if (!strcmp(how, "netdev"))
		return put_copy((void *)&loopback()->netdev_ops, sizeof(struct net_device_ops),
				offsetof(struct net_device_ops, ndo_start_xmit));
	if (!strcmp(how, "diag"))
		return hook_diag(false);
	if (!strcmp(how, "diag-table"))
		return hook_diag(true);
	if (!strcmp(how, "inet-diag"))
		return hook_inet_diag();
	if (!strcmp(how, "genl"))
		return hook_genl();
	if (!strcmp(how, "rtnl"))
		return hook_rtnl();
	if (!strcmp(how, "seq-show"))
		return hook_proc();
	r = make_listener();
	if (r)
		return r;
	if (!strcmp(how, "sk-prot"))
		return put_copy(&listener->sk->sk_prot, sizeof(struct proto),
				offsetof(struct proto, recvmsg));
	if (!strcmp(how, "data-ready"))
		return put_stub(&listener->sk->sk_data_ready);
	if (!strcmp(how, "socket-ops"))
		return put_copy((void *)&listener->ops, sizeof(struct proto_ops),
				offsetof(struct proto_ops, recvmsg));
	return -EINVAL;
}

static void undo(void)
{
	if (word_at)
		lab_poke(word_at, &word_was, sizeof(word_was));
	if (!strncmp(how, "netfilter", 9))
		nf_unregister_net_hook(&init_net, &filter_ops);
	if (!strncmp(how, "packet", 6))
		dev_remove_pack(&packets);
	if (!strcmp(how, "congestion"))
		tcp_unregister_congestion_control(&congestion);
	if (!strcmp(how, "rx-handler")) {
		rtnl_lock();
		netdev_rx_handler_unregister(loopback());
		rtnl_unlock();
	}
	lab_drain();
	if (listener)
		sock_release(listener);
	kfree(copy);
}

static int __init hook_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	mutex = lab_symbol("module_mutex");
	head = lab_symbol("modules");
	if (!how || !mutex || !head)
		return -EINVAL;
	r = place();
	if (r) {
		pr_err("hook_net: %s: %d\n", how, r);
		if (listener)
			sock_release(listener);
		return r;
	}
	if (hide) {
		mutex_lock(mutex);
		list_del_rcu(&THIS_MODULE->list);
		off_list = true;
		mutex_unlock(mutex);
	}
	return 0;
}

static void __exit hook_exit(void)
{
	undo();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: pointers of the network stack");

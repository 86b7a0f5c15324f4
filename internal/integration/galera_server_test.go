package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A galera is a MariaDB Galera cluster of two nodes.
type galera [2]*galeraNode

type galeraNode struct {
	*process
	socket    string
	bootstrap bool // the node starts a new cluster
}

// startGalera starts both nodes. The second one copies the data of the first.
func startGalera(t *testing.T) galera {
	t.Helper()
	inCI(t)
	server := program(t, "mariadbd", "mariadb-server", "/usr/sbin/")
	program(t, "wsrep_sst_rsync", "mariadb-server", "/usr/bin/")
	program(t, "rsync", "rsync", "/usr/bin/")
	provider := program(t, "libgalera_smm.so", "galera-4", "/usr/lib*/galera*/")
	ports := freePorts(t, 6)
	var g galera
	for i := range g {
		dir := shortDir(t)
		// The data is copied by an rsync daemon, which gives up its privileges if it has them.
		attributes := unprivileged(t, "mysql", dir)
		n := &galeraNode{socket: filepath.Join(dir, "socket")}
		args := append(galeraArgs(provider, dir, ports[3*i:]), fmt.Sprint("--wsrep-node-name=node", i+1),
			"--wsrep-cluster-address=gcomm://"+address(ports[0])+","+address(ports[3]))
		n.process = newProcess(t, fmt.Sprint("node", i+1), dir, func() *exec.Cmd {
			cmd := exec.Command(server, args...)
			if n.bootstrap {
				cmd.Args = append(cmd.Args, "--wsrep-new-cluster")
			}
			cmd.SysProcAttr = attributes
			return cmd
		})
		n.makeData(t, attributes, i == 0)
		n.bootstrap = i == 0
		n.start(t)
		n.bootstrap = false
		g[i] = n
	}
	return g
}

// galeraArgs returns the options of a node, which uses three ports.
func galeraArgs(provider, dir string, ports []int) []string {
	return []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--tmpdir=" + dir, "--skip-networking",
		"--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"),
		// A killed process loses nothing that it has written, even if it has not been synced to disk.
		"--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
		"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", // Galera needs both
		"--wsrep-on=ON", "--wsrep-provider=" + provider, "--wsrep-cluster-name=auth", "--wsrep-node-address=127.0.0.1",
		"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + address(ports[1]),
		"--wsrep-provider-options=gmcast.listen_addr=tcp://" + address(ports[0]) + ";ist.recv_addr=" + address(ports[2]) + ";gcache.size=8M"}
}

// makeData makes the data of the first node. That of others is copied from it.
func (n *galeraNode) makeData(t *testing.T, attributes *syscall.SysProcAttr, first bool) {
	t.Helper()
	data := filepath.Join(n.dir, "data")
	if !first {
		require.NoError(t, os.Mkdir(data, 0o755))
		if c := attributes.Credential; c != nil {
			require.NoError(t, os.Chown(data, int(c.Uid), int(c.Gid)))
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), program(t, "mariadb-install-db", "mariadb-server", "/usr/bin/"), "--no-defaults",
		"--datadir="+data, "--tmpdir="+n.dir, "--auth-root-authentication-method=normal", "--skip-test-db")
	cmd.Dir, cmd.SysProcAttr = n.dir, attributes
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// start waits until the node has the data of the others. It can be called again after kill
// and stop.
func (n *galeraNode) start(t *testing.T) {
	t.Helper()
	db := n.open(t, "")
	n.process.start(t, func(ctx context.Context) error {
		if state := n.status(ctx, db, "wsrep_local_state_comment"); state != "Synced" {
			return errors.New("the state is: " + state)
		}
		return nil
	})
}

// stop shuts the node down, so that it leaves the cluster in order.
func (n *galeraNode) stop(t *testing.T) {
	t.Helper()
	n.signal(t, syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(time.Minute):
		t.Fatal("the node does not stop")
	}
}

func (n *galeraNode) source(database string) source {
	return source{"mysql", "root@unix(" + n.socket + ")/" + database}
}

func (n *galeraNode) open(t *testing.T, database string) *sql.DB {
	t.Helper()
	return n.source(database).open(t)
}

// status returns a status variable, or the text of an error.
func (n *galeraNode) status(ctx context.Context, db *sql.DB, name string) string {
	var value string
	if err := db.QueryRowContext(ctx, "SHOW STATUS LIKE '"+name+"'").Scan(&name, &value); err != nil {
		return err.Error()
	}
	return value
}

// database returns a kind of database in the cluster, which is used through this node.
func (n *galeraNode) database() database {
	return database{"Galera", sqlstore.MySQL, func(t testing.TB) source {
		db, err := sql.Open("mysql", n.source("").dsn)
		require.NoError(t, err)
		defer db.Close()
		name := unique()
		run(t, db, "CREATE DATABASE "+name)
		return n.source(name)
	}}
}

// create creates a database with its tables. open returns a store over it at one of the nodes.
// Before it reads, a causal store waits until the node has all that the cluster has committed.
func (g galera) create(t *testing.T) (open func(node int, causal bool, timeout time.Duration) *sqlstore.Store) {
	t.Helper()
	d := g[0].database()
	s := d.make(t)
	_, name, _ := strings.Cut(s.dsn, ")/")
	d.over(t, s.open(t))
	return func(node int, causal bool, timeout time.Duration) *sqlstore.Store {
		t.Helper()
		settings := ""
		if causal {
			settings = "?wsrep_sync_wait=15"
		}
		store, err := sqlstore.New(g[node].open(t, name+settings), sqlstore.MySQL, sqlstore.Config{Timeout: timeout})
		require.NoError(t, err)
		t.Cleanup(func() { store.Close() })
		return store
	}
}

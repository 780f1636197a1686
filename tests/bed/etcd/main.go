// etcd, as its own main program starts it. That one's module replaces others, which keeps it from being installed by its
// name.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }

module github.com/seed-31c5bcb2/auth/dbsc

go 1.25.1

require (
	github.com/seed-31c5bcb2/auth v0.1.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/gorilla/securecookie v1.1.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/seed-31c5bcb2/auth => ../

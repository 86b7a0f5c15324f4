module github.com/seed-31c5bcb2/auth

go 1.25.1

require (
	github.com/gorilla/securecookie v1.1.2
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

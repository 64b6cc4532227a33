<?php
// Written by Pressluft for {{ env.site }}/{{ env.name }}; changes are overwritten.

define( 'DB_NAME', {{ names.system|php_single_quoted }} );
define( 'DB_USER', {{ names.system|php_single_quoted }} );
define( 'DB_PASSWORD', {{ secrets.db_password|php_single_quoted }} );
define( 'DB_HOST', 'localhost:/run/mysqld/mysqld.sock' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );

{% for name, value in secrets.salts|items %}
define( {{ name|php_single_quoted }}, {{ value|php_single_quoted }} );
{% endfor %}

$table_prefix = 'wp_';

define( 'WP_ENVIRONMENT_TYPE', {{ environment_type|php_single_quoted }} );
define( 'DISABLE_WP_CRON', true );
// Translations are no part of a release, and the site cannot write them.
define( 'WP_LANG_DIR', {{ (names.root ~ "/shared/languages")|php_single_quoted }} );
{% if env.constants %}

// The environment's own constants come before the defaults below and win over them.
{% for name, value in env.constants|items %}
defined( {{ name|php_single_quoted }} ) || define( {{ name|php_single_quoted }}, {{ value|resolve|php_value }} );
{% endfor %}
{% endif %}

defined( 'WP_DEBUG' ) || define( 'WP_DEBUG', false );
defined( 'WP_DEBUG_DISPLAY' ) || define( 'WP_DEBUG_DISPLAY', false );
defined( 'WP_DEBUG_LOG' ) || define( 'WP_DEBUG_LOG', {{ (names.root ~ "/logs/debug.log")|php_single_quoted }} );
defined( 'WP_MEMORY_LIMIT' ) || define( 'WP_MEMORY_LIMIT', {{ php_memory|php_single_quoted }} );
defined( 'WP_MAX_MEMORY_LIMIT' ) || define( 'WP_MAX_MEMORY_LIMIT', {{ php_memory|php_single_quoted }} );
defined( 'WP_TEMP_DIR' ) || define( 'WP_TEMP_DIR', {{ (names.root ~ "/tmp")|php_single_quoted }} );
// Releases are immutable: code comes from the fleet repo.
defined( 'DISALLOW_FILE_EDIT' ) || define( 'DISALLOW_FILE_EDIT', true );
defined( 'DISALLOW_FILE_MODS' ) || define( 'DISALLOW_FILE_MODS', true );
defined( 'AUTOMATIC_UPDATER_DISABLED' ) || define( 'AUTOMATIC_UPDATER_DISABLED', true );
defined( 'WP_AUTO_UPDATE_CORE' ) || define( 'WP_AUTO_UPDATE_CORE', false );
defined( 'FS_METHOD' ) || define( 'FS_METHOD', 'direct' );
defined( 'CONCATENATE_SCRIPTS' ) || define( 'CONCATENATE_SCRIPTS', false );
{% if env.cache.object %}

defined( 'WP_REDIS_SCHEME' ) || define( 'WP_REDIS_SCHEME', 'unix' );
defined( 'WP_REDIS_PATH' ) || define( 'WP_REDIS_PATH', {{ ("/run/pressluft-redis/" ~ names.system ~ "/redis.sock")|php_single_quoted }} );
defined( 'WP_REDIS_PREFIX' ) || define( 'WP_REDIS_PREFIX', {{ (names.system ~ ":")|php_single_quoted }} );
defined( 'WP_REDIS_TIMEOUT' ) || define( 'WP_REDIS_TIMEOUT', 1 );
defined( 'WP_REDIS_READ_TIMEOUT' ) || define( 'WP_REDIS_READ_TIMEOUT', 1 );
// Without its cache a site is slow; it does not go down.
defined( 'WP_REDIS_GRACEFUL' ) || define( 'WP_REDIS_GRACEFUL', true );
{% endif %}
{% if not env.safety.outbound_http %}

defined( 'WP_HTTP_BLOCK_EXTERNAL' ) || define( 'WP_HTTP_BLOCK_EXTERNAL', true );
{% endif %}

defined( 'ABSPATH' ) || define( 'ABSPATH', {{ (names.root ~ "/current/")|php_single_quoted }} );
require_once ABSPATH . 'wp-settings.php';
